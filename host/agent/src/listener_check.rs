//! What is said of listeners without opening them.

use usher_config::{Diagnostic, Settings};

use crate::listener_settings::{allowed, place, tls, unknown_accounts, unopened};
use crate::place_holder;

/// What keeps the listeners of these settings from being opened as far as that is known before, and
/// what lets nobody in. Reads their files.
pub fn check(settings: &Settings) -> Vec<Diagnostic> {
    let listeners = settings.listeners.iter().enumerate();
    let problems = listeners.flat_map(|(index, listener)| {
        let place = match place(&listener.place).check() {
            Ok(()) => place_holder::in_writing(settings, index)
                .map(|(what, help)| unopened(listener, &what, help)),
            Err(error) => Some(unopened(listener, &error.to_string(), error.remedy())),
        };
        let (tls, unusable) = match tls(listener) {
            Ok(tls) => (tls, None),
            Err(error) => (None, Some(error)),
        };
        let expired = tls.and_then(|tls| tls.expiry()).map(|(what, help)| {
            Diagnostic::new_warning("listener.tls", what, help, Some(&listener.location))
        });
        let problems = place.into_iter().chain(unusable).chain(expired);
        problems.chain(unknown_accounts(listener, &allowed(listener)))
    });
    problems.collect()
}

#[cfg(test)]
mod tests {
    use usher_config::{Overrides, load};

    use super::*;

    fn said(blocks: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("usher.hcl");
        let vault = "vault {\n  address = \"http://127.0.0.1:9\"\n}\n";
        std::fs::write(&file, format!("{vault}{blocks}")).unwrap();
        let loaded = load(std::slice::from_ref(&file), &Overrides::default(), &|_| None);
        let settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        check(&settings).iter().map(ToString::to_string).collect()
    }

    fn block(kind: &str, address: &str, more: &str) -> String {
        format!("listener \"{kind}\" {{\n  address = \"{address}\"\n  {more}\n}}\n")
    }

    #[test]
    fn what_would_keep_a_listener_from_being_opened_is_said_with_a_remedy() {
        const PLAIN: &str = "tls_disable = true";
        let long = format!("/run/{}", "x".repeat(108));
        let files = "tls_cert_file = \"/none.pem\"\n  tls_key_file = \"/none.pem\"";
        let tcp = |address| block("tcp", address, PLAIN);
        let unix = |more: &str| block("unix", "/run/none/s", &format!("{PLAIN}\n  {more}"));
        for (blocks, told) in [
            (tcp("{{ GetIP }}:8200"), "the template {{ GetIP }} isn't known"),
            (block("unix", &long, PLAIN), "too long for a socket"),
            (block("unix", "/etc/passwd", PLAIN), "something else than a socket"),
            (unix("socket_user = \"none-of-this-name\""), "no user named \"none-of-this-name\""),
            (unix("allow_groups = [\"none-of-this-name\"]"), "nobody is let in by a name"),
            (block("tcp", "127.0.0.1:8200", files), "\"/none.pem\" can't be read"),
            (tcp("127.0.0.1:1") + &tcp(":1"), "usher.hcl:4:1 listens there, too"),
            (tcp("127.0.0.1:1") + &tcp("localhost:1"), "usher.hcl:4:1 listens there, too"),
            (
                tcp("127.0.0.1:1") + "metrics_address = \"127.0.0.1:1\"\n",
                "`metrics_address` is at the same place",
            ),
            (
                unix("") + "admin_socket = \"/run/none/./s\"\n",
                "`admin_socket` is at the same place",
            ),
        ] {
            let said = said(&blocks);
            assert_eq!(said.len(), 1, "{blocks}: {said:?}");
            assert!(said[0].contains(told) && said[0].contains("help: "), "{}", said[0]);
        }
    }

    #[test]
    fn a_certificate_that_has_expired_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let [certificate_file, key_file] =
            ["c.pem", "k.pem"].map(|name| directory.path().join(name).display().to_string());
        std::fs::write(&certificate_file, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let files =
            format!("tls_cert_file = \"{certificate_file}\"\n  tls_key_file = \"{key_file}\"");
        let said = said(&block("tcp", "127.0.0.1:8200", &files));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("warning: the listener's certificate has expired"), "{}", said[0]);
    }

    #[test]
    fn a_listener_that_can_be_opened_is_nothing_to_speak_of() {
        const PLAIN: &str = "tls_disable = true";
        let ports = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:0", "127.0.0.1:0", "[::1]:1"];
        let tcp: String = ports.iter().map(|address| block("tcp", address, PLAIN)).collect();
        // A directory that only a service manager makes.
        let unix = block("unix", "/run/none-of-this-name/s", PLAIN);
        assert_eq!(said(&(tcp + &unix)), Vec::<String>::new());
    }
}

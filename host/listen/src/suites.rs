//! Cipher suites by the names that Go and the standards have for them.

use rustls::SupportedCipherSuite;

/// What a list of names stands for.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// Those of them that there are, in the TLS library's order.
    pub(crate) suites: Vec<SupportedCipherSuite>,
    /// Those that are too weak to be offered: CBC, RC4, and without forward secrecy.
    pub(crate) outdated: Vec<String>,
}

/// Chooses among `available`. The error is a name that means nothing.
pub(crate) fn choose(
    names: &[String],
    available: &[SupportedCipherSuite],
) -> Result<Chosen, String> {
    let mut outdated = Vec::new();
    for name in names {
        if available.iter().any(|suite| is_called(*suite, name)) {
            continue;
        }
        if !is_outdated(name) {
            return Err(name.clone());
        }
        outdated.push(name.clone());
    }
    let is_chosen =
        |suite: &&SupportedCipherSuite| names.iter().any(|name| is_called(**suite, name));
    Ok(Chosen { suites: available.iter().filter(is_chosen).copied().collect(), outdated })
}

fn is_called(suite: SupportedCipherSuite, name: &str) -> bool {
    let standard = format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1);
    // Go once left the hash out.
    standard == name
        || standard
            .strip_suffix("_SHA256")
            .is_some_and(|old| old == name && old.ends_with("POLY1305"))
}

fn is_outdated(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("TLS_") else { return false };
    rest.starts_with("RSA_WITH_") || ["_CBC_", "_RC4_"].iter().any(|weak| rest.contains(weak))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_known_by_name_and_weak_ones_are_passed_over() {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let all = &provider.cipher_suites;
        let names =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        let chosen = choose(
            &names(&[
                "TLS_AES_128_GCM_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
                "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
                "TLS_RSA_WITH_AES_256_GCM_SHA384",
                "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
            ]),
            all,
        )
        .unwrap();
        assert_eq!((chosen.suites.len(), chosen.outdated.len()), (3, 3), "{chosen:?}");
        for unknown in ["ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM", ""] {
            assert_eq!(choose(&names(&[unknown]), all).err().as_deref(), Some(unknown));
        }
    }
}

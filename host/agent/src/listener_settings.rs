//! What a configured listener is to whoever listens, and what is said of it.

use usher_config::{
    ClientCertificates, Diagnostic, Listener, ListenerPlace, ListenerTls, TlsVersion,
};
use usher_listen::{Access, Allowed, Place, Tls, TlsFiles};

/// `help`: a sentence without capital and full stop.
pub(crate) fn unopened(listener: &Listener, what: &str, help: &str) -> Diagnostic {
    let message = format!("the listener can't be opened: {what}");
    Diagnostic::new_error("listener", message, help, Some(&listener.location))
}

pub(crate) fn place(place: &ListenerPlace) -> Place {
    match place {
        ListenerPlace::Tcp { address } => Place::Tcp { address: address.clone() },
        ListenerPlace::Unix { path, .. } => {
            Place::Unix { path: path.clone(), access: access(place).unwrap_or_default() }
        }
    }
}

/// Whose a unix socket is, and who may connect.
pub(crate) fn access(place: &ListenerPlace) -> Option<Access> {
    let ListenerPlace::Unix { mode, user, group, .. } = place else { return None };
    Some(Access { mode: *mode, user: user.clone(), group: group.clone() })
}

pub(crate) fn allowed(listener: &Listener) -> Allowed {
    Allowed { users: listener.allow_users.clone(), groups: listener.allow_groups.clone() }
}

/// Names in `allow_users` and `allow_groups` by which nobody is known. Whoever has them may be added
/// while the agent runs.
pub(crate) fn unknown_accounts(listener: &Listener, allowed: &Allowed) -> Vec<Diagnostic> {
    let unknown = allowed.unknown().into_iter().map(|unknown| {
        let message = format!("nobody is let in by a name that isn't known: {unknown}");
        let help = "create it, or write its number";
        Diagnostic::new_warning("listener.allow", message, help, Some(&listener.location))
    });
    unknown.collect()
}

pub(crate) fn tls(listener: &Listener) -> Result<Option<Tls>, Diagnostic> {
    let Some(tls) = &listener.tls else { return Ok(None) };
    Tls::load(files(tls)).map(Some).map_err(|error| {
        let place = Some(&listener.location);
        Diagnostic::new_error("listener.tls", error.to_string(), error.remedy(), place)
    })
}

fn files(tls: &ListenerTls) -> TlsFiles {
    let version = |version| match version {
        TlsVersion::V12 => usher_listen::TlsVersion::Tls12,
        TlsVersion::V13 => usher_listen::TlsVersion::Tls13,
    };
    TlsFiles {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        client_certificates: match tls.client_certificates {
            ClientCertificates::NotAsked => usher_listen::ClientCertificates::NotAsked,
            ClientCertificates::Asked => usher_listen::ClientCertificates::Asked,
            ClientCertificates::Required => usher_listen::ClientCertificates::Required,
        },
        oldest: version(tls.oldest),
        newest: version(tls.newest),
        cipher_suites: tls.cipher_suites.clone(),
    }
}

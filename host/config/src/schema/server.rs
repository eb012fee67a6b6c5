//! The table of `vault`: where the server is and how to trust it.

use super::Block;
use super::Kind::{Block as One, Integer, Text, WeakBoolean};
use super::key::built;

pub(crate) static VAULT: Block = Block {
    name: "vault",
    closed: false,
    hint: "",
    keys: &[
        built(
            "address",
            Text,
            "https://, http:// or unix:// address of the server. Default https://127.0.0.1:8200.",
        )
        .variables(&["ADDR"])
        .flag("address", "URL", "Address of the server: https://, http:// or unix://."),
        built("ca_cert", Text, "PEM file of authorities, trusted instead of the system's.")
            .variables(&["CACERT"])
            .flag("ca-cert", "FILE", "File with the certificate authorities to trust, PEM."),
        built(
            "ca_path",
            Text,
            "Directory of PEM files with all below it, or one such file; ca_cert goes before it.",
        )
        .variables(&["CAPATH"])
        .flag(
            "ca-path",
            "DIRECTORY",
            "Directory with the certificate authorities to trust.",
        ),
        built("client_cert", Text, "PEM file with the client certificate; comes with client_key.")
            .variables(&["CLIENT_CERT"])
            .flag("client-cert", "FILE", "Client certificate, PEM."),
        built("client_key", Text, "PEM file with the key of client_cert.")
            .variables(&["CLIENT_KEY"])
            .flag("client-key", "FILE", "Key of the client certificate, PEM."),
        built(
            "tls_skip_verify",
            WeakBoolean,
            "Don't verify the server's certificate; warned of at each start. Default false.",
        )
        .variables(&["SKIP_VERIFY"])
        .flag("tls-skip-verify", "BOOL", "Don't verify the server's certificate."),
        built(
            "tls_server_name",
            Text,
            "Name to expect in the server's certificate. Default: the host of address.",
        )
        .variables(&["TLS_SERVER_NAME"])
        .flag("tls-server-name", "NAME", "Name to expect in the server's certificate."),
        built(
            "namespace",
            Text,
            "Namespace of the identities whose method names none. Default: the root.",
        )
        .variables(&["NAMESPACE"])
        .flag("namespace", "NAME", "Namespace (also --ns)."),
        built(
            "retry",
            One(&RETRY),
            "For proxied and template requests; logins have their back-off.",
        ),
    ],
};

pub(crate) static RETRY: Block = Block {
    name: "vault.retry",
    closed: false,
    hint: "",
    keys: &[built(
        "num_retries",
        Integer,
        "Attempts after the first; 0 is the default, negative none. Default 12.",
    )
    .variables(&["MAX_RETRIES"])],
};

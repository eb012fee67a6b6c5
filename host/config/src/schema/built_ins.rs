//! The settings of the built-in plug-ins, by their own schemas: for hints, and for the reference.

use serde_json::Value as Json;

/// The types that a schema is for, and the schema of their `config` block.
type Schemas = &'static [(&'static [&'static str], &'static str)];

/// The first type is that of the page below `docs/methods`.
pub(crate) const METHODS: Schemas = &[
    (&["alicloud"], include_str!("../../../../plugins/alicloud/config.schema.json")),
    (&["approle"], include_str!("../../../../plugins/approle/config.schema.json")),
    (&["aws"], include_str!("../../../../plugins/aws/config.schema.json")),
    (&["azure"], include_str!("../../../../plugins/azure/config.schema.json")),
    (&["cert"], include_str!("../../../../plugins/cert/config.schema.json")),
    (&["cf", "pcf"], include_str!("../../../../plugins/cf/config.schema.json")),
    (&["gcp"], include_str!("../../../../plugins/gcp/config.schema.json")),
    (&["jwt"], include_str!("../../../../plugins/jwt/config.schema.json")),
    (&["kerberos"], include_str!("../../../../plugins/kerberos/config.schema.json")),
    (&["kubernetes"], include_str!("../../../../plugins/kubernetes/config.schema.json")),
    (&["oci"], include_str!("../../../../plugins/oci/config.schema.json")),
    (&["token_file"], include_str!("../../../../plugins/token_file/config.schema.json")),
    (
        &["userpass", "ldap", "radius"],
        include_str!("../../../../plugins/userpass/config.schema.json"),
    ),
];

pub(crate) const SINKS: Schemas =
    &[(&["file"], include_str!("../../../../plugins/file/config.schema.json"))];

/// The settings of a type; none of one that isn't built in.
pub(crate) fn settings(of: Schemas, kind: &str) -> Vec<String> {
    let schema = of.iter().find(|(names, _)| names.contains(&kind)).map(|(_, schema)| *schema);
    let schema: Json = schema.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the documentation of Vault Agent and `OpenBao` Agent lists for each type: none of it
    /// may be warned of.
    const OF_THE_INCUMBENTS: &[(Schemas, &str, &[&str])] = &[
        (
            METHODS,
            "alicloud",
            &[
                "role",
                "region",
                "credential_poll_interval",
                "access_key",
                "access_secret",
                "access_token",
                "role_arn",
                "role_session_name",
                "role_session_expiration",
                "private_key",
                "public_key_id",
                "session_expiration",
                "role_name",
            ],
        ),
        (
            METHODS,
            "approle",
            &[
                "role_id_file_path",
                "secret_id_file_path",
                "remove_secret_id_file_after_reading",
                "secret_id_response_wrapping_path",
            ],
        ),
        (
            METHODS,
            "aws",
            &[
                "type",
                "role",
                "access_key",
                "secret_key",
                "session_token",
                "header_value",
                "nonce",
                "region",
                "credential_poll_interval",
            ],
        ),
        (
            METHODS,
            "azure",
            &[
                "role",
                "resource",
                "object_id",
                "client_id",
                "scope",
                "authenticate_from_environment",
            ],
        ),
        (
            METHODS,
            "cert",
            &["name", "ca_cert", "client_cert", "client_key", "reload", "reload_period"],
        ),
        (METHODS, "pcf", &["role"]),
        (METHODS, "gcp", &["type", "role", "service_account", "credentials", "project", "jwt_exp"]),
        (
            METHODS,
            "jwt",
            &[
                "path",
                "role",
                "remove_jwt_after_reading",
                "remove_jwt_follows_symlinks",
                "jwt_read_period",
            ],
        ),
        (
            METHODS,
            "kerberos",
            &[
                "username",
                "service",
                "realm",
                "keytab_path",
                "krb5conf_path",
                "disable_fast_negotiation",
            ],
        ),
        (METHODS, "kubernetes", &["role", "token_path"]),
        (
            METHODS,
            "ldap",
            &[
                "username",
                "password_file_path",
                "remove_password_after_reading",
                "remove_password_follows_symlinks",
                "password_read_period",
            ],
        ),
        (METHODS, "oci", &["type", "role", "credential_poll_interval"]),
        (METHODS, "token_file", &["token_file_path"]),
        (SINKS, "file", &["path", "mode", "uid", "gid"]),
    ];

    #[test]
    fn each_setting_that_the_incumbents_document_is_known() {
        for &(of, kind, keys) in OF_THE_INCUMBENTS {
            let settings = settings(of, kind);
            for key in keys {
                assert!(settings.iter().any(|setting| setting == key), "{kind}: {key}");
            }
        }
    }

    #[test]
    fn of_a_type_that_is_not_built_in_no_setting_is_known() {
        assert_eq!(settings(METHODS, "acme"), [""; 0]);
        assert_eq!(settings(SINKS, "approle"), [""; 0]);
    }
}

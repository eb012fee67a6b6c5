//! Reads how a sink's content is encrypted: `dh_type`, `dh_path`, `derive_key`, `aad`.

use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Report};
use crate::settings::Encryption;
use crate::variables::Environment;

/// The only key exchange there is.
const CURVE: &str = "curve25519";

/// What a sink says of encryption; `location` is the sink's.
pub(crate) fn read(
    fields: &Fields<'_>,
    location: &Location,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Option<Encryption> {
    let set = |key: &str, report: &mut Report| {
        fields.string(key, report).filter(|text| !text.value.is_empty())
    };
    let dh_type = set("dh_type", report);
    let dh_path = set("dh_path", report);
    let derive_key = fields.strict_boolean("derive_key", report).unwrap_or(false);
    let variable = set("aad_env_var", report);
    let mut aad = set("aad", report).map(|text| text.value).unwrap_or_default();
    if let Some(variable) = &variable {
        // As with the incumbents, the variable counts even where it isn't set.
        aad = environment.plain(&variable.value).unwrap_or_default();
        if aad.is_empty() {
            report.push(Diagnostic::new_warning(
                "sink.aad_env_var",
                format!(
                    "the environment variable {:?} is not set, so the content is bound to no aad",
                    variable.value
                ),
                "set it for the agent and for the reader, or take aad_env_var out",
                Some(&variable.location),
            ));
        }
    }
    let mut error = |code: &str, message: &str, help: &str, place: &Location| {
        report.push(Diagnostic::new_error(code, message, help, Some(place)));
    };
    match (dh_type, dh_path) {
        (Some(dh_type), _) if dh_type.value != CURVE => {
            let message = format!("`dh_type` is {:?}", dh_type.value);
            error("sink.dh_type", &message, "write dh_type = \"curve25519\"", &dh_type.location);
            None
        }
        (Some(_), Some(path)) => {
            Some(Encryption { dh_path: PathBuf::from(path.value), derive_key, aad })
        }
        (Some(dh_type), None) => {
            error(
                "sink.dh_type",
                "`dh_type` without `dh_path`",
                "name the file with the reader's public key: dh_path = \"…\"",
                &dh_type.location,
            );
            None
        }
        (None, Some(path)) => {
            error(
                "sink.dh_type",
                "`dh_path` without `dh_type`, so nothing would be encrypted",
                "write dh_type = \"curve25519\" too",
                &path.location,
            );
            None
        }
        (None, None) => {
            for (needs, key) in [(!aad.is_empty(), "aad"), (derive_key, "derive_key")] {
                if needs {
                    error(
                        "sink.dh_type",
                        &format!("`{key}` without `dh_type`, so nothing would be encrypted"),
                        "write dh_type = \"curve25519\" and dh_path = \"…\" too, or take it out",
                        location,
                    );
                }
            }
            None
        }
    }
}

//! What a component is, read from its names before anything is compiled.

use wasmparser::{Encoding, Parser, Payload};

use crate::error::LoadError;
use crate::kind::Kind;

/// Version of package `usher:plugin` that this host speaks.
pub const CONTRACT: &str = "0.1.0";
const PACKAGE: &str = "usher:plugin/";

/// What the names of a component say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Auth method or sink.
    pub kind: Kind,
    /// Version of package `usher:plugin` that it was built against.
    pub contract: String,
    /// Names of what it imports.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
}

/// Reads the outermost imports and exports of `bytes`.
///
/// # Errors
/// [`LoadError::NotAComponent`] or [`LoadError::Contract`], with what to do instead.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    let reject = |text: &str| Err(LoadError::NotAComponent(text.to_owned()));
    if bytes.is_empty() {
        return reject(
            "the file is empty; it may still be copied: write to another name and rename it",
        );
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return reject(
            "it is precompiled code (.cwasm), which is never loaded from outside; use the .wasm component",
        );
    }
    if !bytes.starts_with(b"\0asm") {
        return reject("it is no WebAssembly; expected a component (.wasm)");
    }
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                return reject(&format!(
                    "it is damaged or only partly written ({error}); copy it again under another name and rename it"
                ));
            }
        };
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return reject(
                    "it is a core WebAssembly module, not a component; make it one with `wasm-tools component new`",
                );
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section.into_iter().flatten() {
                    imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section.into_iter().flatten() {
                    exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    let version = |interface: &str| {
        exports.iter().find_map(|name| {
            name.strip_prefix(PACKAGE)?
                .strip_prefix(interface)?
                .strip_prefix('@')
                .map(str::to_owned)
        })
    };
    let (kind, contract) = match (version("auth-method"), version("sink")) {
        (Some(version), None) => (Kind::AuthMethod, version),
        (None, Some(version)) => (Kind::Sink, version),
        (Some(_), Some(_)) => {
            return reject(
                "it exports both an auth method and a sink; build one component for each",
            );
        }
        (None, None) => {
            return reject(
                "it exports neither usher:plugin/auth-method nor usher:plugin/sink; build it against the worlds in Usher's wit/ directory",
            );
        }
    };
    // Before 1.0, only the same minor version is compatible.
    if contract.rsplit_once('.').map(|(minor, _)| minor)
        != CONTRACT.rsplit_once('.').map(|(minor, _)| minor)
    {
        return Err(LoadError::Contract {
            found: format!("usher:plugin {contract}"),
            expected: CONTRACT,
        });
    }
    Ok(Inspection { kind, contract, imports, exports })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        inspect(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_component_is_refused_with_the_remedy() {
        assert!(message(b"").contains("empty"));
        assert!(message(b"#!/bin/sh").contains("no WebAssembly"));
        assert!(message(b"\0asm\x01\0\0\0").contains("core WebAssembly module"));
        assert!(message(b"\0asm\x0d\0\x01\0").contains("neither"));
        assert!(message(b"\0asm\x0d\0\x01\0\x01\xff\xff").contains("damaged"));
    }
}

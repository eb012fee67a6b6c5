//! An order to clear the cache, as the incumbents' `cache-clear` takes it.

use serde::Deserialize;
use thiserror::Error;
use usher_address::Namespace;

use super::key::Keyring;
use super::selection::Selection;
use super::wiped::Wiped;

/// Why an order can't be followed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Disorder {
    #[error(
        "the order is no JSON object: write {{\"type\": \"all\"}}, or a type with value and namespace"
    )]
    Body,
    #[error("the order has no type: write request_path, token, token_accessor, lease or all")]
    TypeMissing,
    #[error(
        "the order's type isn't known: write request_path, token, token_accessor, lease or all"
    )]
    TypeUnknown,
    #[error("the order has no value: every type needs one but \"all\"")]
    ValueMissing,
    #[error(
        "the order's namespace can't be one: write it as in X-Vault-Namespace, such as team/web"
    )]
    Namespace,
}

/// Reads an order.
pub(crate) fn order(keyring: &Keyring, body: &[u8]) -> Result<Selection, Disorder> {
    let order: Order = serde_json::from_slice(body).map_err(|_| Disorder::Body)?;
    let Wiped(value) = order.value;
    let needed = || if value.is_empty() { Err(Disorder::ValueMissing) } else { Ok(&**value) };
    match order.kind.as_str() {
        "" => Err(Disorder::TypeMissing),
        "all" => Ok(Selection::All),
        "token" => Ok(Selection::Token(keyring.token(needed()?.as_bytes()))),
        "token_accessor" => Ok(Selection::Accessor(keyring.accessor(needed()?.as_bytes()))),
        "lease" => Ok(Selection::Leases { namespace: None, prefix: needed()?.into() }),
        "request_path" => {
            let namespace = Namespace::parse(&order.namespace).map_err(|_| Disorder::Namespace)?;
            let namespace = namespace.as_str().into();
            let path = needed()?;
            let path = match path.strip_prefix("/v1/") {
                Some(path) => path,
                None if "/v1/".starts_with(path) => "",
                // No request has such a path.
                None => path,
            };
            Ok(Selection::RequestPath { namespace, path: path.into() })
        }
        _ => Err(Disorder::TypeUnknown),
    }
}

#[derive(Deserialize)]
struct Order {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    value: Wiped,
    #[serde(default)]
    namespace: String,
}

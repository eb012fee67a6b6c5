//! Where things are on a secrets server and on the way to it, each parsed once and carried.
//!
//! A value of these types is proof that its text keeps the rules: whoever holds one need not look
//! again, and two that mean the same are equal. [`Malformed`] says which rule a text breaks and what
//! to write instead. No I/O here, and nothing that is shown holds a user or a password.

#![forbid(unsafe_code)]

mod api_path;
mod malformed;
mod mount_path;
mod namespace;
mod outbound_proxy;
mod segments;
mod server_address;
mod userinfo;

pub use api_path::ApiPath;
pub use malformed::Malformed;
pub use mount_path::MountPath;
pub use namespace::Namespace;
pub use outbound_proxy::{OutboundProxy, ProxyScheme};
pub use server_address::ServerAddress;
pub use userinfo::Userinfo;

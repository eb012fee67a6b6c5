//! Where an engine or an auth method is mounted on the server.

use std::fmt;

use crate::api_path::ApiPath;
use crate::malformed::Malformed;
use crate::segments::{encoded, flaw};

/// "auth/approle": no slash at either end, never empty, percent-encoded as it is sent.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MountPath(String);

impl MountPath {
    /// Slashes at either end may be written, as the server's own commands do.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let path = text.trim_matches('/');
        match flaw(path) {
            None => Ok(Self(path.to_owned())),
            Some(flaw) => Err(flaw.of("the mount path", path)),
        }
    }

    /// Where a method of this type is mounted if nobody says where: "auth/approle". What of its name a
    /// path can't hold is percent-encoded.
    pub fn of_method(kind: &str) -> Result<Self, Malformed> {
        Self::parse(&format!("auth/{}", encoded(kind)))
    }

    /// A path below the mount: "login" of "auth/approle" is "auth/approle/login".
    pub fn join(&self, below: &str) -> Result<ApiPath, Malformed> {
        ApiPath::parse(&format!("{self}/{below}"))
    }

    /// Without slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mount_is_written_with_and_without_slashes() {
        for (text, path) in [
            ("auth/approle", "auth/approle"),
            ("/auth/approle/", "auth/approle"),
            ("auth/team/kubernetes", "auth/team/kubernetes"),
            ("auth/a%20b", "auth/a%20b"),
        ] {
            assert_eq!(MountPath::parse(text).unwrap().as_str(), path);
        }
        for text in ["", "/", "//", "auth//x", "auth/../sys", "auth/a b", "auth/{{X}}", "auth/x?y"]
        {
            let refused = MountPath::parse(text).unwrap_err().to_string();
            assert!(refused.starts_with("the mount path"), "{refused}");
        }
    }

    #[test]
    fn what_a_method_asks_for_stays_below_its_mount() {
        let mount = MountPath::parse("auth/gcp").unwrap();
        assert_eq!(mount.join("login").unwrap().as_str(), "auth/gcp/login");
        assert_eq!(mount.join("role/web/login").unwrap().as_str(), "auth/gcp/role/web/login");
        for below in ["../sys/seal", "a/../../sys/seal", "/login", "%2e%2e/x", "login?x=y"] {
            assert!(mount.join(below).is_err(), "{below}");
        }
    }

    #[test]
    fn a_method_is_mounted_under_its_name() {
        for (kind, path) in
            [("approle", "auth/approle"), ("my plug-in", "auth/my%20plug-in"), ("ü", "auth/%C3%BC")]
        {
            assert_eq!(MountPath::of_method(kind).unwrap().as_str(), path);
        }
        assert!(MountPath::of_method("..").is_err());
    }

    proptest! {
        #[test]
        fn any_name_without_dots_and_slashes_can_be_mounted(kind in "[^./]{0,12}") {
            prop_assert!(MountPath::of_method(&kind).is_ok());
        }

        #[test]
        fn a_mount_path_is_the_same_when_it_is_parsed_again(text in "[a-z/.% ]{0,20}") {
            if let Ok(path) = MountPath::parse(&text) {
                prop_assert!(!path.as_str().is_empty());
                prop_assert!(!path.as_str().starts_with('/') && !path.as_str().ends_with('/'));
                prop_assert_eq!(MountPath::parse(&path.to_string()), Ok(path.clone()));
                prop_assert_eq!(MountPath::parse(&format!("/{path}/")), Ok(path));
            }
        }
    }
}

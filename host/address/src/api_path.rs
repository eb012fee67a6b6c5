//! The path of a request to the server, below "v1/".

use std::borrow::Cow;
use std::fmt;

use crate::malformed::Malformed;
use crate::segments::flaw;

/// "auth/approle/login": what follows "/v1/", without query, and reaches the server byte for byte.
/// Segments are never empty or "." or "..", in any spelling; behind the last there may be a slash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ApiPath(Cow<'static, str>);

impl ApiPath {
    /// Percent-encoded as it is to be sent.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        match flaw(text) {
            None => Ok(Self(Cow::Owned(text.to_owned()))),
            Some(flaw) => Err(flaw.of("the path", text)),
        }
    }

    /// A path that is known when the program is built; a wrong one doesn't build.
    ///
    /// ```
    /// # use usher_address::ApiPath;
    /// const RENEW: ApiPath = ApiPath::constant("auth/token/renew-self");
    /// ```
    /// ```compile_fail
    /// # use usher_address::ApiPath;
    /// const UP: ApiPath = ApiPath::constant("auth/../sys");
    /// ```
    pub const fn constant(text: &'static str) -> Self {
        assert!(flaw(text).is_none(), "not a path that can be sent");
        Self(Cow::Borrowed(text))
    }

    /// Without slash in front.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_server_knows_is_taken_as_it_is() {
        for path in [
            "auth/approle/login",
            "secret/data/a%2Fb",
            "secret/metadata/",
            "secret/data/a:b@c;d=e,f!$&'()*+~^|[x]",
            "auth/jwt/.../..a/a..",
            "pki/cert/17:67:16:b0",
            "secret/data/100%",
        ] {
            assert_eq!(ApiPath::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for path in ["", "/", "/sys", "a//b", "../sys", "auth/%2e%2e/sys", "a?b", "a#b", "a\\..\\b"]
        {
            assert!(ApiPath::parse(path).is_err(), "{path}");
        }
        let refused = ApiPath::parse("auth/../sys").unwrap_err().to_string();
        assert!(refused.starts_with("the path \"auth/../sys\" can't be sent"), "{refused}");
    }

    proptest! {
        #[test]
        fn a_path_is_kept_byte_for_byte(text in "[ -~]{0,40}") {
            if let Ok(path) = ApiPath::parse(&text) {
                prop_assert_eq!(path.as_str(), &text);
                prop_assert_eq!(ApiPath::parse(path.as_str()), Ok(path.clone()));
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}

//! The user and the password that stand in a URL, held apart from it.

use usher_secret::Secret;

/// "user:password" as in a URL (RFC 3986, §3.2.1), percent-encoded or not, as it was written. No
/// `Debug`: either may be a secret. Never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Userinfo(Secret<String>);

impl Userinfo {
    /// Takes what stands before the last `@` out of a URL's authority; the rest is host and port.
    pub(crate) fn split(authority: &str) -> (Option<Self>, &str) {
        match authority.rsplit_once('@') {
            Some(("" | ":", host)) => (None, host),
            Some((user, host)) => (Some(Self(Secret::new(user.to_owned()))), host),
            None => (None, authority),
        }
    }

    /// The user and the password, either perhaps empty, as they were written.
    pub fn parts(&self) -> (&str, &str) {
        let whole = self.0.expose().as_str();
        whole.split_once(':').unwrap_or((whole, ""))
    }

    /// Both with the colon, as they were written.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_end_at_the_last_at_sign() {
        for (authority, user, host) in [
            ("u:p@x", Some(("u", "p")), "x"),
            ("u:p@ss@x:1", Some(("u", "p@ss")), "x:1"),
            ("u:p:q@[::1]:1", Some(("u", "p:q")), "[::1]:1"),
            ("token@x", Some(("token", "")), "x"),
            (":p@x", Some(("", "p")), "x"),
            ("@x", None, "x"),
            (":@x", None, "x"),
            ("x", None, "x"),
        ] {
            let (found, rest) = Userinfo::split(authority);
            assert_eq!(found.as_ref().map(Userinfo::parts), user, "{authority}");
            assert_eq!(rest, host, "{authority}");
        }
    }
}

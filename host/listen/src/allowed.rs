//! Which users of this machine may ask on a unix socket.

use crate::access::known;
use crate::accounts::{self, GROUP, PASSWD};
use crate::bind_error::BindError;

/// Users and groups, each by name or number; whoever is one of the users or in one of the groups
/// may ask. With neither, everybody may who can open the socket. Root and the agent's own user
/// aren't implied.
///
/// Names are looked up in `/etc/passwd` and `/etc/group` for each new connection. A peer is in its
/// effective group and in those that list its user in `/etc/group`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Allowed {
    /// Names or numbers.
    pub users: Vec<String>,
    /// Names or numbers.
    pub groups: Vec<String>,
}

impl Allowed {
    /// Whether nobody is turned away.
    pub fn is_everybody(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// The names among them that this machine doesn't know, which let nobody in. Reads files.
    pub fn unknown(&self) -> Vec<BindError> {
        let users = self.users.iter().map(|name| known(name, "user", PASSWD));
        let groups = self.groups.iter().map(|name| known(name, "group", GROUP));
        users.chain(groups).filter_map(Result::err).collect()
    }

    /// Whether a process of this user and group may ask. May read files.
    pub fn admits(&self, uid: u32, gid: u32) -> bool {
        if self.is_everybody() || self.names_numbers(uid, gid) {
            return true;
        }
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        self.admits_by(uid, gid, &read(PASSWD), &read(GROUP))
    }

    /// Whether it is written in numbers that they may; needs no file.
    fn names_numbers(&self, uid: u32, gid: u32) -> bool {
        let is = |written: &String, number: u32| written.parse() == Ok(number);
        self.users.iter().any(|user| is(user, uid))
            || self.groups.iter().any(|group| is(group, gid))
    }

    fn admits_by(&self, uid: u32, gid: u32, passwd: &str, group: &str) -> bool {
        let named = |written: &String, database: &str| {
            written.parse().ok().or_else(|| accounts::number(written, database))
        };
        if self.users.iter().any(|user| named(user, passwd) == Some(uid)) {
            return true;
        }
        let allowed: Vec<u32> =
            self.groups.iter().filter_map(|written| named(written, group)).collect();
        allowed.contains(&gid)
            || accounts::user_name(uid, passwd).is_some_and(|user| {
                accounts::groups_of(user, group).any(|gid| allowed.contains(&gid))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:\nother:x:1001:1001::/:\n";
    const GROUPS: &str = "root:x:0:\napp:x:1000:\nweb:x:2000:other,app\nempty:x:2001:\n";

    #[test]
    fn a_peer_is_known_by_user_group_and_membership_in_names_and_numbers() {
        for (users, groups, uid, gid, expected) in [
            (&[][..], &[][..], 7, 7, true),
            (&["app"], &[], 1000, 1, true),
            (&["1000"], &[], 1000, 1, true),
            (&["app"], &[], 1001, 1000, false),
            (&["app"], &[], 0, 0, false),
            (&["nobody", "app"], &[], 1000, 1, true),
            (&["nobody"], &[], 65534, 65534, false),
            (&[], &["web"], 1001, 1001, true),
            (&[], &["2000"], 1001, 1001, true),
            (&[], &["web"], 1002, 2000, true),
            (&[], &["web"], 1002, 1002, false),
            (&[], &["empty"], 1001, 1001, false),
            (&[], &["web"], 0, 0, false),
            (&["other"], &["empty"], 1001, 1001, true),
        ] {
            let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let allowed = Allowed { users: own(users), groups: own(groups) };
            let admitted = allowed.is_everybody() || allowed.admits_by(uid, gid, USERS, GROUPS);
            assert_eq!(admitted, expected, "{users:?} {groups:?} {uid} {gid}");
            if allowed.names_numbers(uid, gid) {
                assert!(expected, "{users:?} {groups:?} {uid} {gid}");
            }
        }
    }

    #[test]
    fn the_databases_of_this_machine_are_read() {
        let allowed = Allowed { users: vec!["root".to_owned()], groups: Vec::new() };
        assert!(allowed.admits(0, 0));
        assert!(!allowed.admits(12_345_678, 12_345_678));
        let groups = vec!["none-of-this-name".to_owned(), "7".to_owned()];
        let unknown = Allowed { users: allowed.users, groups }.unknown();
        let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        assert_eq!(unknown, ["there is no group named \"none-of-this-name\" in /etc/group"]);
    }
}

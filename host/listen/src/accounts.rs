//! Users and groups by name, out of the texts of `/etc/passwd` and `/etc/group`.
//!
//! Names that come from elsewhere (LDAP, sssd) are unknown here; their numbers do.

/// The number of the user or group, which is in the third column of both files.
pub(crate) fn number(name: &str, database: &str) -> Option<u32> {
    entries(database)
        .find_map(|(entry, mut rest)| (entry == name).then(|| rest.nth(1)?.parse().ok())?)
}

/// What the user with this number is called.
pub(crate) fn user_name(uid: u32, passwd: &str) -> Option<&str> {
    entries(passwd).find_map(|(name, mut rest)| (rest.nth(1)?.parse() == Ok(uid)).then_some(name))
}

/// The groups that list the user as a member.
pub(crate) fn groups_of<'a>(user: &'a str, group: &'a str) -> impl Iterator<Item = u32> + 'a {
    entries(group).filter_map(move |(_, mut rest)| {
        let gid = rest.nth(1)?.parse().ok()?;
        rest.next()?.split(',').any(|member| member.trim() == user).then_some(gid)
    })
}

fn entries(database: &str) -> impl Iterator<Item = (&str, std::str::Split<'_, char>)> {
    database.lines().filter_map(|line| {
        let mut columns = line.split(':');
        let name = columns.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        Some((name, columns))
    })
}

pub(crate) const PASSWD: &str = "/etc/passwd";
pub(crate) const GROUP: &str = "/etc/group";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_lines_and_comments_of_the_databases_are_passed_over() {
        let text = "# app:x:1:\n\n:x:2:\napp\napp:x\nodd:x:many:\napp:x:7:u, v\nlast:x:8:v";
        assert_eq!(number("app", text), Some(7));
        assert_eq!(number("odd", text), None);
        assert_eq!(number("", text), None);
        assert_eq!(user_name(8, text), Some("last"));
        assert_eq!(groups_of("v", text).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(groups_of("w", text).count(), 0);
    }
}

//! Keytab files, format 0x0502 of MIT Kerberos: the keys of principals.
//!
//! <https://web.mit.edu/kerberos/krb5-latest/doc/formats/keytab_file_format.html>

use crate::encryption::{self, Enctype, Key};
use usher_plugin::Failure;

/// The newest keys of one principal.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Version of all of them.
    pub(crate) version: u32,
    /// At least one, each of another type, in the order of [`Enctype::ALL`].
    pub(crate) keys: Vec<Key>,
}

impl Keys {
    pub(crate) fn of(&self, enctype: Enctype) -> Option<&Key> {
        self.keys.iter().find(|key| key.enctype() == enctype)
    }

    /// The types, as people know them.
    pub(crate) fn names(&self) -> String {
        names(self.keys.iter().map(|key| key.enctype().number()))
    }
}

/// The newest keys of `user` at `realm` in the file `path` with this content.
pub(crate) fn newest_keys(
    path: &str,
    content: &[u8],
    user: &str,
    realm: &str,
) -> Result<Keys, Failure> {
    let failure = |code: &str, message: String| {
        Failure::unavailable(format!("keytab.{code}"), message).detail("file", path)
    };
    if content.is_empty() {
        return Err(failure("empty", format!("{path} is empty; write a keytab there")));
    }
    let entries = entries(content).ok_or_else(|| {
        failure("malformed", format!("{path} is no keytab of format 0x0502; export it again"))
    })?;
    let principal = format!("{user}@{realm}");
    let version = entries
        .iter()
        .filter(|entry| entry.principal == principal)
        .map(|entry| entry.version)
        .max();
    let Some(version) = version else {
        let mut others: Vec<&str> = entries.iter().map(|entry| entry.principal.as_str()).collect();
        others.sort_unstable();
        others.dedup();
        let others = if others.is_empty() { "no keys".into() } else { others.join(", ") };
        return Err(failure(
            "principal",
            format!(
                "{path} has no key of {principal}, but {others}; correct `username` or `realm`, or \
                 export its key"
            ),
        ));
    };
    let newest: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.principal == principal && entry.version == version)
        .collect();
    let keys: Vec<Key> = Enctype::ALL
        .into_iter()
        .filter_map(|enctype| {
            let of_type = newest.iter().rev().find(|entry| entry.enctype == enctype.number())?;
            Key::new(enctype, of_type.key)
        })
        .collect();
    if keys.is_empty() {
        let has = names(newest.iter().map(|entry| entry.enctype));
        let known = names(Enctype::ALL.into_iter().map(Enctype::number));
        return Err(failure(
            "enctype",
            format!(
                "the newest keys of {principal} in {path} are of types that are not supported: \
                 {has}; export one of {known}"
            ),
        ));
    }
    Ok(Keys { version, keys })
}

/// Names of encryption types, in a row.
pub(crate) fn names(numbers: impl Iterator<Item = i64>) -> String {
    numbers.map(encryption::name).collect::<Vec<_>>().join(", ")
}

struct Entry<'a> {
    /// "app@EXAMPLE.ORG", "HTTP/host@EXAMPLE.ORG".
    principal: String,
    version: u32,
    enctype: i64,
    key: &'a [u8],
}

/// None: malformed.
fn entries(content: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut bytes = Bytes(content.strip_prefix(&[5, 2])?);
    let mut entries = Vec::new();
    while !bytes.0.is_empty() {
        let length = bytes.number(4)?.cast_signed();
        if length == 0 {
            break;
        }
        let entry = bytes.take(usize::try_from(length.unsigned_abs()).ok()?)?;
        // A negative length is that of a hole where an entry was.
        if length > 0 {
            entries.push(entry_of(Bytes(entry))?);
        }
    }
    Some(entries)
}

fn entry_of(mut bytes: Bytes<'_>) -> Option<Entry<'_>> {
    let components = bytes.number(2)?;
    let realm = bytes.counted()?;
    let mut name = Vec::new();
    for _ in 0..components {
        name.push(String::from_utf8_lossy(bytes.counted()?));
    }
    let principal = format!("{}@{}", name.join("/"), String::from_utf8_lossy(realm));
    let _name_type = bytes.number(4)?;
    let _time = bytes.number(4)?;
    let low_version = bytes.number(1)?;
    let enctype = i64::from(bytes.number(2)?);
    let key = bytes.counted()?;
    // Present if there is room for it, and not 0.
    let version = bytes.number(4).filter(|version| *version != 0).unwrap_or(low_version);
    Some(Entry { principal, version, enctype, key })
}

/// What has not been read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// In as many bytes, the highest first.
    fn number(&mut self, length: usize) -> Option<u32> {
        Some(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// With its length before it.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.number(2)?;
        self.take(usize::try_from(length).ok()?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A keytab of entries: name, version, type, key.
    pub(crate) fn keytab(entries: &[(&str, u32, i64, &[u8])]) -> Vec<u8> {
        fn counted(bytes: &[u8]) -> Vec<u8> {
            [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
        }
        let mut file = vec![5, 2];
        for (principal, version, enctype, key) in entries {
            let (name, realm) = principal.split_once('@').unwrap();
            let name: Vec<&str> = name.split('/').collect();
            let mut entry = u16::try_from(name.len()).unwrap().to_be_bytes().to_vec();
            entry.extend(counted(realm.as_bytes()));
            for component in name {
                entry.extend(counted(component.as_bytes()));
            }
            entry.extend([0, 0, 0, 1, 0, 0, 0, 0, version.to_be_bytes()[3]]);
            entry.extend(u16::try_from(*enctype).unwrap().to_be_bytes());
            entry.extend(counted(key));
            entry.extend(version.to_be_bytes());
            file.extend(u32::try_from(entry.len()).unwrap().to_be_bytes());
            file.extend(entry);
        }
        file
    }

    fn keys_of_app(content: &[u8]) -> Result<Keys, Failure> {
        newest_keys("/etc/app.keytab", content, "app", "EXAMPLE.ORG")
    }

    #[test]
    fn the_newest_keys_of_the_principal_are_taken() {
        let content = keytab(&[
            ("app@EXAMPLE.ORG", 1, 18, &[1; 32]),
            ("app@EXAMPLE.ORG", 300, 17, &[2; 16]),
            ("app@EXAMPLE.ORG", 300, 18, &[3; 32]),
            ("app@EXAMPLE.ORG", 300, 23, &[4; 16]),
            ("app@EXAMPLE.ORG", 45, 20, &[5; 32]),
            ("app@OTHER.ORG", 301, 18, &[6; 32]),
            ("app/host@EXAMPLE.ORG", 302, 18, &[7; 32]),
        ]);
        let keys = keys_of_app(&content).unwrap();
        assert_eq!(keys.version, 300);
        let bytes: Vec<&[u8]> = keys.keys.iter().map(Key::bytes).collect();
        assert_eq!(bytes, [&[3; 32][..], &[2; 16]]);
        assert_eq!(keys.names(), "aes256-cts-hmac-sha1-96 (18), aes128-cts-hmac-sha1-96 (17)");
        let host = newest_keys("/f", &content, "app/host", "EXAMPLE.ORG").unwrap();
        assert_eq!((host.version, host.keys[0].bytes()), (302, &[7; 32][..]));
    }

    #[test]
    fn holes_and_short_versions_are_read() {
        let mut content = keytab(&[("app@EXAMPLE.ORG", 7, 18, &[1; 32])]);
        // A hole of three bytes, then an entry without the long version.
        let mut entry = keytab(&[("app@EXAMPLE.ORG", 8, 18, &[2; 32])]);
        entry.truncate(entry.len() - 4);
        let length = u32::try_from(entry.len() - 6).unwrap().to_be_bytes();
        entry[2..6].copy_from_slice(&length);
        content.extend([0xff, 0xff, 0xff, 0xfd, 9, 9, 9]);
        content.extend(&entry[2..]);
        let keys = keys_of_app(&content).unwrap();
        assert_eq!((keys.version, keys.keys[0].bytes()), (8, &[2; 32][..]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let code = |content: &[u8]| keys_of_app(content).unwrap_err();
        assert_eq!(code(b"").code, "keytab.empty");
        assert_eq!(code(b"-----BEGIN").code, "keytab.malformed");
        assert_eq!(code(&[5, 1, 0, 0]).code, "keytab.malformed");
        let other = code(&keytab(&[("web@EXAMPLE.ORG", 1, 18, &[1; 32])]));
        assert_eq!(other.code, "keytab.principal");
        assert!(other.message.contains("app@EXAMPLE.ORG, but web@EXAMPLE.ORG"), "{other}");
        assert_eq!(code(&[5, 2]).code, "keytab.principal");
        let legacy = code(&keytab(&[("app@EXAMPLE.ORG", 1, 23, &[1; 16])]));
        assert_eq!(legacy.code, "keytab.enctype");
        assert!(legacy.message.contains("arcfour-hmac (23)"), "{legacy}");
        // A key of the wrong length.
        assert_eq!(code(&keytab(&[("app@EXAMPLE.ORG", 1, 18, &[1; 16])])).code, "keytab.enctype");
    }

    proptest! {
        #[test]
        fn a_truncated_or_changed_keytab_is_read_without_a_panic(
            length in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut content = keytab(&[
                ("app@EXAMPLE.ORG", 1, 18, &[1; 32]),
                ("app@EXAMPLE.ORG", 2, 17, &[1; 16]),
            ]);
            let _ = keys_of_app(&content[..length.index(content.len())]);
            let at = at.index(content.len());
            content[at] = byte;
            let _ = keys_of_app(&content);
        }
    }
}

//! INI files as clouds keep settings and credentials in: sections of `key = value` lines.

/// What a file holds. Nothing in it is shown by any of these functions but section names and keys.
pub struct Ini<'a> {
    sections: Vec<Section<'a>>,
}

/// A section.
pub struct Section<'a> {
    /// Between the brackets, without blanks around it.
    pub name: &'a str,
    entries: Vec<Entry<'a>>,
}

/// One setting.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    key: &'a str,
    /// Without blanks around it; may be empty.
    pub value: &'a str,
    /// Counted from 1.
    pub line: usize,
}

/// A line that is no part of an INI file: mostly, that it is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Counted from 1.
    pub line: usize,
    /// "is no `key = value`".
    pub what: &'static str,
}

impl<'a> Ini<'a> {
    /// Reads a file. Lines that begin with "#" or ";" are comments; indented ones belong to the
    /// value before them, as a block of settings that is left out here.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut sections: Vec<Section<'a>> = Vec::new();
        for (number, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let malformed = |what| Malformed { line: number + 1, what };
            let line = text.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest.split_once(']').ok_or(malformed("lacks the closing bracket"))?.0;
                sections.push(Section { name: name.trim(), entries: Vec::new() });
                continue;
            }
            let section = sections.last_mut().ok_or(malformed("stands before any [section]"))?;
            if text.starts_with([' ', '\t']) && !section.entries.is_empty() {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(malformed("is no `key = value`"))?;
            let entry = Entry { key: key.trim_end(), value: value.trim_start(), line: number + 1 };
            section.entries.push(entry);
        }
        Ok(Self { sections })
    }

    /// Every section, in order. A name may come again.
    pub fn sections(&self) -> impl Iterator<Item = &Section<'a>> {
        self.sections.iter()
    }
}

impl<'a> Section<'a> {
    /// The last setting of this name, in any case, that isn't empty.
    pub fn get(&self, key: &str) -> Option<Entry<'a>> {
        let mut named = self.entries.iter().rev();
        named.find(|entry| entry.key.eq_ignore_ascii_case(key) && !entry.value.is_empty()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(ini: &Ini<'a>, section: &str, key: &str) -> Option<(&'a str, usize)> {
        let mut named = ini.sections().filter(|found| found.name == section);
        named.find_map(|found| found.get(key)).map(|entry| (entry.value, entry.line))
    }

    #[test]
    fn settings_are_found_by_section_and_key() {
        let ini = Ini::parse(
            "\u{feff}# c\n\n[default]\nKey=a=b \n; c\n[ profile x ]\nkey = c # d\nempty =\ns3 =\n  key = z\r\n",
        )
        .unwrap();
        assert_eq!(value(&ini, "default", "key"), Some(("a=b", 4)));
        assert_eq!(value(&ini, "profile x", "KEY"), Some(("c # d", 7)));
        assert_eq!(value(&ini, "profile x", "empty"), None);
        assert_eq!(value(&ini, "profile x", "s3"), None);
        assert_eq!(value(&ini, "x", "key"), None);
    }

    #[test]
    fn the_last_of_several_counts() {
        let ini = Ini::parse("[a]\nk=1\nk=2\nk=").unwrap();
        assert_eq!(value(&ini, "a", "k"), Some(("2", 3)));
    }

    #[test]
    fn a_half_written_file_is_told_with_its_line() {
        for (text, line) in [("[a]\nk=1\nsecret", 3), ("\n[a", 2), ("k=1", 1), ("<html>", 1)] {
            assert_eq!(
                Ini::parse(text).err().map(|malformed| malformed.line),
                Some(line),
                "{text}"
            );
        }
    }
}

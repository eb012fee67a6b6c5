//! Which of the names that are known was meant by one that isn't.

/// The name that `written` is probably meant to be: one with a letter or two amiss, in another
/// style (`roleIdFilePath`, `role-id-file-path`), or with a word too few or too many.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let letters = letters_of(written);
    known
        .into_iter()
        .filter_map(|name| {
            let known = letters_of(name);
            let distance = strsim::damerau_levenshtein(&known, &letters);
            let shorter = known.chars().count().min(letters.chars().count());
            // A name of one letter is like no other.
            let is_close = distance <= (shorter / 3).clamp(1, 3) && distance < shorter;
            (is_close || differ_by_words(name, written)).then_some((distance, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn letters_of(name: &str) -> String {
    name.chars().filter(|c| !is_joint(*c)).flat_map(char::to_lowercase).collect()
}

fn is_joint(character: char) -> bool {
    matches!(character, '_' | '-' | '.' | ' ')
}

/// Whether one has all the words of the other, at least two, and at most two more.
fn differ_by_words(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let mut words = [&one, &other].map(|name| name.split(is_joint).collect::<Vec<_>>());
    words.sort_by_key(Vec::len);
    let [fewer, more] = words;
    fewer.len() >= 2
        && more.len() - fewer.len() <= 2
        && fewer.iter().all(|word| more.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_found_and_nothing_far_fetched() {
        const APPROLE: [&str; 4] = [
            "remove_secret_id_file_after_reading",
            "role_id_file_path",
            "secret_id_file_path",
            "secret_id_response_wrapping_path",
        ];
        const FILE: [&str; 5] = ["gid", "in_place", "mode", "path", "uid"];
        for (written, known, meant) in [
            ("remove_secret_id_file_reading", &APPROLE[..], Some(APPROLE[0])),
            ("role_id_path", &APPROLE, Some("role_id_file_path")),
            ("roleIdFilePath", &APPROLE, Some("role_id_file_path")),
            ("role-id-file-path", &APPROLE, Some("role_id_file_path")),
            ("secret_id_path", &APPROLE, Some("secret_id_file_path")),
            ("ROLE_ID_FILE_PATH", &APPROLE, Some("role_id_file_path")),
            ("role", &APPROLE, None),
            ("path", &APPROLE, None),
            ("Mode", &FILE, Some("mode")),
            ("mod", &FILE, Some("mode")),
            ("pth", &FILE, Some("path")),
            ("perms", &FILE, None),
            ("owner", &FILE, None),
            ("path", &["dh_path", "type"], None),
            ("", &FILE, None),
        ] {
            assert_eq!(nearest(written, known.iter().copied()), meant, "{written}");
        }
        assert_eq!(nearest("c", ["a", "b"]), None);
    }
}

//! "Did you mean": the known name nearest to a mistyped one.

/// The nearest of `known`, if it is near enough to have been meant.
pub(crate) fn closest<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|name| (distance(typed, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(typed.len()) / 3)
        .map(|(_, name)| name)
}

/// Levenshtein's distance in bytes: insertions, removals and replacements.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, left) in from.bytes().enumerate() {
        let mut diagonal = line;
        let mut previous = line + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(to.bytes()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            *cell = replaced.min(previous + 1).min(diagonal + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("path", "path"), 0);
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        assert_eq!(closest("pat", &["mode", "path"]), Some("path"));
        assert_eq!(closest("owner", &["mode", "path", "gid"]), None);
    }
}

//! Versions, and the constraints of Masterminds' library on them.

use std::any::Any as AnyType;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::rc::Rc;

use semver::Prerelease;

use crate::function::Kind::Text;
use crate::function::{Function, fixed};
use crate::value::{Object, UintType, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("sprig_semver", &[Text], |_, arguments| {
        let version = Version::parse(&arguments.text(0));
        Ok(Value::Object(Rc::new(version.ok_or("invalid semantic version")?)))
    }),
    fixed("sprig_semverCompare", &[Text, Text], |_, arguments| {
        let constraint = arguments.text(0);
        let alternatives = parse_constraint(&constraint)
            .ok_or_else(|| format!("improper constraint: {constraint}"))?;
        let version = Version::parse(&arguments.text(1)).ok_or("invalid semantic version")?;
        Ok(Value::Bool(alternatives.iter().any(|all| {
            // Pre-releases only fit if some of the conditions names one.
            let named = all.iter().any(|condition| condition.version.is_prerelease());
            (named || !version.is_prerelease()) && all.iter().all(|one| one.holds(&version))
        })))
    }),
];

/// A version; parts that aren't written are 0.
#[derive(Clone)]
struct Version {
    numbers: [u64; 3],
    prerelease: Prerelease,
    metadata: String,
    original: String,
}

/// One condition on a version.
struct Condition {
    operator: String,
    version: Version,
    /// How many numbers are written; behind them any will do.
    written: usize,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (version, written) = parse_version(text)?;
        (written > 0).then_some(version)
    }

    fn is_prerelease(&self) -> bool {
        !self.prerelease.is_empty()
    }

    fn text(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let mut text = format!("{major}.{minor}.{patch}");
        if self.is_prerelease() {
            let _ = write!(text, "-{}", self.prerelease);
        }
        if !self.metadata.is_empty() {
            let _ = write!(text, "+{}", self.metadata);
        }
        text
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}

impl Condition {
    fn holds(&self, version: &Version) -> bool {
        let [major, minor, patch] = version.numbers;
        let [own_major, own_minor, own_patch] = self.version.numbers;
        let order = version.compare(&self.version);
        let any_minor = self.written < 2;
        let any_patch = self.written < 3;
        let tilde = order != Ordering::Less
            && (self.written == 0 || major == own_major && (minor == own_minor || any_minor));
        match self.operator.as_str() {
            "" | "=" => {
                if any_patch {
                    tilde
                } else {
                    order == Ordering::Equal
                }
            }
            "!=" if any_patch => {
                self.written > 0 && (major != own_major || !any_minor && minor != own_minor)
            }
            "!=" => order != Ordering::Equal,
            ">" if any_minor => self.written > 0 && major > own_major,
            ">" if any_patch => (major, minor) > (own_major, own_minor),
            ">" => order == Ordering::Greater,
            "<" => order == Ordering::Less,
            ">=" | "=>" => order != Ordering::Less,
            "<=" | "=<" if any_minor => self.written == 0 || major <= own_major,
            "<=" | "=<" if any_patch => (major, minor) <= (own_major, own_minor),
            "<=" | "=<" => order != Ordering::Greater,
            "~" | "~>" => self.version.numbers == [0; 3] || tilde,
            _ if order == Ordering::Less => false,
            _ if self.written == 0 => true,
            _ if own_major > 0 || any_minor => major == own_major,
            _ if own_minor > 0 || any_patch => major == 0 && minor == own_minor,
            _ => [major, minor, patch] == [0, 0, own_patch],
        }
    }
}

/// Alternatives, each of conditions that must all hold.
fn parse_constraint(text: &str) -> Option<Vec<Vec<Condition>>> {
    text.split("||").map(parse_conditions).collect()
}

fn parse_conditions(text: &str) -> Option<Vec<Condition>> {
    let mut words = Vec::new();
    let spaced = text.replace(',', " ");
    for word in spaced.split_whitespace() {
        words.push(word);
    }
    let mut conditions = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let split = word.find(|char| !"=!<>~^".contains(char)).unwrap_or(word.len());
        let (operator, mut version) = word.split_at(split);
        if version.is_empty() {
            version = words.next()?;
        }
        let known = ["", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"];
        if !known.contains(&operator) {
            return None;
        }
        let mut operator = operator.to_owned();
        if operator.is_empty() && words.peek() == Some(&"-") {
            words.next();
            let (version, written) = parse_version(words.next()?)?;
            conditions.push(Condition { operator: "<=".to_owned(), version, written });
            ">=".clone_into(&mut operator);
        }
        let (version, written) = parse_version(version)?;
        conditions.push(Condition { operator, version, written });
    }
    (!conditions.is_empty()).then_some(conditions)
}

/// A version and how many of its numbers are written before an `x` or `*`.
fn parse_version(text: &str) -> Option<(Version, usize)> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = plain.split_once('+').unwrap_or((plain, ""));
    let (rest, prerelease) = rest.split_once('-').unwrap_or((rest, ""));
    let mut numbers = [0; 3];
    let mut written = 0;
    let parts: Vec<&str> = rest.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    for (index, part) in parts.iter().enumerate() {
        if matches!(*part, "x" | "X" | "*") {
            break;
        }
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        numbers[index] = part.parse().ok()?;
        written = index + 1;
    }
    let version = Version {
        numbers,
        prerelease: Prerelease::new(prerelease).ok()?,
        metadata: metadata.to_owned(),
        original: text.to_owned(),
    };
    Some((version, written))
}

impl Object for Version {
    fn type_name(&self) -> &'static str {
        "*semver.Version"
    }

    fn arity(&self, method: &str) -> Option<usize> {
        match method {
            "Major" | "Minor" | "Patch" | "Prerelease" | "Metadata" | "Original" | "String" => {
                Some(0)
            }
            "Compare" | "Equal" | "LessThan" | "GreaterThan" => Some(1),
            _ => None,
        }
    }

    fn call(&self, method: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let number = |index: usize| Ok(Value::Uint(self.numbers[index], UintType::Uint64));
        let order = || match arguments.first() {
            Some(Value::Object(other)) => other.as_any().downcast_ref::<Self>(),
            _ => None,
        };
        let compared = || {
            order()
                .map(|other| self.compare(other))
                .ok_or_else(|| "wrong type for value; expected *semver.Version".to_owned())
        };
        self.arity(method)?;
        Some(match method {
            "Major" => number(0),
            "Minor" => number(1),
            "Patch" => number(2),
            "Prerelease" => Ok(Value::string(self.prerelease.as_str())),
            "Metadata" => Ok(Value::string(self.metadata.as_str())),
            "Original" => Ok(Value::string(self.original.as_str())),
            "Compare" => compared().map(|order| Value::int(order as i64)),
            "Equal" => compared().map(|order| Value::Bool(order == Ordering::Equal)),
            "LessThan" => compared().map(|order| Value::Bool(order == Ordering::Less)),
            "GreaterThan" => compared().map(|order| Value::Bool(order == Ordering::Greater)),
            _ => Ok(Value::string(self.text())),
        })
    }

    fn text(&self) -> Option<String> {
        Some(Version::text(self))
    }

    fn json(&self) -> Option<String> {
        Some(Version::text(self))
    }

    fn as_any(&self) -> &dyn AnyType {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_hold_as_in_masterminds_library() {
        for (constraint, version, fits) in [
            (">11", "11.1.0", false),
            (">11", "12.0.0", true),
            (">11.1", "11.1.1", false),
            ("<=11", "11.5.0", true),
            ("!=1.x", "1.4.0", false),
            ("^0.2.3", "0.2.9", true),
            ("^0.0.3", "0.0.4", false),
            ("^0", "0.9.0", true),
            ("~1", "1.9.9", true),
            ("*", "3.0.0", true),
            (">=1.0.0-0, <2", "1.5.0-rc1", true),
            ("= 1.2.3", "1.2.3", true),
        ] {
            let version = Version::parse(version).unwrap();
            let all = parse_constraint(constraint).unwrap();
            let made = all.iter().any(|all| all.iter().all(|one| one.holds(&version)));
            assert_eq!(made, fits, "{constraint} {}", version.text());
        }
        assert!(Version::parse("abc").is_none());
        assert!(parse_constraint(">>1").is_none());
    }
}

//! Writes `docs/configuration.md` and the settings in `docs/methods` from tables and schemas, and
//! checks that they are up to date.

use std::fmt::Write as _;

use super::blocks::ALL;
use super::built_ins::{METHODS, SINKS};
use super::top::TOP;
use super::{Block, Change, ENVIRONMENT, FILE, Key, Kind, Merge, RETRY, State, VAULT};

const FILE_NAME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

const HEAD: &str = r#"# Configuration

<!-- Made from the tables in host/config/src/schema: `USHER_WRITE_DOCS=1 cargo test -p usher-config document` writes it anew. -->

A file is JSON if it starts with `{`, else HCL 1. Keys are taken in any case, but for those in `config`, which are in small letters. `usher validate --config PATH` names every problem of a configuration, those of its plug-ins too, and starts nothing; `usher config schema` prints a JSON Schema for editors. What differs from Vault Agent and OpenBao Agent stands in [compatibility.md](compatibility.md).

Several `--config` merge in the order in which they are given, and the files of a directory (`*.hcl`, `*.json`) in the order of their names. A later file replaces whole blocks (`vault`, `auto_auth`, `api_proxy`, `cache`) and single values; `exit_after_auth` and the `disable_` lists stay on once they are; `identity`, `plugin` and `listener` blocks add up. Flags go before the environment, and the environment before files.

A duration is a number of seconds, or a string: `"90s"`, `"1h30m"`, `"300ms"`, `"2d"`. A size is a number of bytes, or a string: `"64MiB"`.

## Environment

Each is looked up as `BAO_NAME`, then as `VAULT_NAME`. One that is set counts even if it is empty.

"#;

const WITHOUT_PREFIX: &str = "\
Without a prefix count `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (in capitals or not), and `RUNTIME_DIRECTORY` for the default of `admin_socket`. For `usher proxy` names begin with `PROXY_` that begin with `AGENT_` here.
";

/// Around the table in a method's page.
const BEGIN: &str = "<!-- Made from the plug-in's schema: `USHER_WRITE_DOCS=1 cargo test -p usher-config document` writes it anew. -->\n";
const END: &str = "<!-- end -->\n";

fn document() -> String {
    let mut text = HEAD.to_owned();
    text.push_str(&variables());
    let _ = write!(text, "\n{WITHOUT_PREFIX}");
    for block in ALL {
        let name = if block.name == TOP { "Top level" } else { block.name };
        let _ = write!(text, "\n## {name}\n\n");
        if block.name == TOP {
            text.push_str("An `identity \"NAME\" { … }` takes the keys of `auto_auth`. Unknown keys are errors in `identity` and `plugin`, and warnings elsewhere; in `config` those are unknown that the plug-in's schema doesn't have.\n\n");
        }
        text.push_str("| Key | Takes | |\n| --- | --- | --- |\n");
        for key in block.keys {
            let _ = writeln!(text, "| `{}` | {} | {} |", key.name, takes(key.kind), about(key));
        }
    }
    text.push_str(
        "\n## config of a method\n\nEach method has a page: its settings, what it needs on the server, and what its failures mean.\n\n",
    );
    for &(names, _) in METHODS {
        let _ = writeln!(text, "- [{}](methods/{}.md)", names.join(", "), names[0]);
    }
    let _ = write!(text, "\n## config of sink \"file\"\n\n{}", settings(SINKS[0].1));
    text
}

/// The environment variables; those of which the same is said share a row.
fn variables() -> String {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for block in [&VAULT, &RETRY, &ENVIRONMENT, &FILE] {
        for key in block.keys.iter().filter(|key| !key.variables.is_empty()) {
            let names = key.variables.iter().map(|name| format!("`{name}`"));
            let about = about_variable(block, key);
            match rows.iter_mut().find(|(other, _)| *other == about) {
                Some((_, row)) => row.extend(names),
                None => rows.push((about, names.collect())),
            }
        }
    }
    let mut text = String::from("| Name | What it does |\n| --- | --- |\n");
    for (about, names) in rows {
        let _ = writeln!(text, "| {} | {about} |", names.join(", "));
    }
    text
}

fn about_variable(block: &'static Block, key: &Key) -> String {
    if std::ptr::eq(block, &raw const ENVIRONMENT) {
        return key.description.to_owned();
    }
    match (key.kind, key.flag) {
        (Kind::Strings, _) => "Comma-separated lists instead of those in files.".to_owned(),
        (_, Some(_)) if block.name == TOP => "As the flags.".to_owned(),
        (_, Some(_)) => format!("As the flags and the keys of `{}`.", block.name),
        (_, None) => format!("As `{}.{}`.", block.name, key.name),
    }
}

/// A plug-in's settings, as its schema has them.
fn settings(schema: &str) -> String {
    let mut text = String::from("| Key | Takes | Default | |\n| --- | --- | --- | --- |\n");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let required = |key: &str| {
        let keys = schema["required"].as_array();
        keys.is_some_and(|keys| keys.iter().any(|required| required == key))
    };
    for (key, property) in schema["properties"].as_object().unwrap() {
        let default = match property.get("default") {
            _ if required(key) => "required".to_owned(),
            Some(value) if !value.is_null() => format!("`{value}`"),
            _ => String::new(),
        };
        let description = property["description"].as_str().unwrap().replace('\n', " ");
        let _ =
            writeln!(text, "| `{key}` | {} | {default} | {description} |", takes_value(property));
    }
    text
}

/// What a property of a schema takes.
fn takes_value(property: &serde_json::Value) -> &'static str {
    let mut types = Vec::new();
    types_in(property, &mut types);
    let has = |name: &str| types.iter().any(|found| found == name);
    if has("integer") && has("string") {
        return "whole number or string";
    }
    match (has("boolean"), has("number"), has("string")) {
        (true, true, _) => "`true` or `false`, also quoted, or a number",
        (true, false, _) => "`true` or `false`",
        (false, true, true) => "duration",
        (false, true, false) => "number",
        (false, false, true) => "string",
        (false, false, false) => "see the description",
    }
}

fn types_in(schema: &serde_json::Value, types: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(schema) => {
            match schema.get("type") {
                Some(serde_json::Value::String(one)) => types.push(one.clone()),
                Some(serde_json::Value::Array(several)) => {
                    let names = several.iter().filter_map(serde_json::Value::as_str);
                    types.extend(names.map(str::to_owned));
                }
                _ => {}
            }
            if let Some(choices) = schema.get("anyOf") {
                types_in(choices, types);
            }
        }
        serde_json::Value::Array(choices) => {
            for choice in choices {
                types_in(choice, types);
            }
        }
        _ => {}
    }
}

fn about(key: &Key) -> String {
    let about = about_state(key);
    match key.only {
        Some(dialect) => format!("{about} Only for `usher {}`.", dialect.name()),
        None => about,
    }
}

fn about_state(key: &Key) -> String {
    match key.state {
        State::Built => key.description.to_owned(),
        State::NotBuilt(_) | State::Beside => format!("Not supported yet. {}", key.description),
        State::Deprecated(help) => format!("Deprecated: {help}. {}", key.description),
        State::NoEffect(reason) => format!("Without effect: {reason}."),
    }
}

fn takes(kind: Kind) -> String {
    let block = |block: &Block| format!("block [{0}](#{1})", block.name, anchor(block.name));
    match kind {
        Kind::Text | Kind::StrictText => "string".to_owned(),
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::WeakBoolean => "`true` or `false`, also quoted, or a number".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::GoDuration => "duration with a unit".to_owned(),
        Kind::Integer => "whole number, also quoted".to_owned(),
        Kind::StrictInteger => "whole number".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Strings => "list of strings".to_owned(),
        Kind::Typed(inner) if inner.key("type").is_some() => {
            format!("{}, with its type as label", block(inner))
        }
        Kind::Block(inner) | Kind::Typed(inner) => block(inner),
        Kind::Named(inner) => format!("{}, with its name as label", block(inner)),
        Kind::Settings => "block of the plug-in".to_owned(),
        Kind::TokenUse => "`true`, `false` or `\"force\"`".to_owned(),
        Kind::SwitchOrBlock(inner) => format!("`true`, `false` or {}", block(inner)),
        Kind::Command => "string or list of strings".to_owned(),
        Kind::Signal => "name of a signal".to_owned(),
        Kind::Permissions => "octal string or number".to_owned(),
        Kind::Wait => "string or block".to_owned(),
        Kind::Any => "anything".to_owned(),
    }
}

/// As Markdown viewers make it of a heading; `identity` has no table of its own.
fn anchor(name: &str) -> String {
    let name = if name == "identity" { "auto_auth" } else { name };
    name.replace('.', "")
}

#[test]
fn the_document_is_what_the_tables_say() {
    let document = document();
    if std::env::var_os("USHER_WRITE_DOCS").is_some() {
        std::fs::write(FILE_NAME, &document).unwrap();
    }
    let written = std::fs::read_to_string(FILE_NAME).unwrap();
    assert!(
        written == document,
        "docs/configuration.md is out of date; USHER_WRITE_DOCS=1 cargo test -p usher-config document writes it"
    );
}

#[test]
fn how_files_merge_is_told_as_the_tables_have_it() {
    let keys = |merge: Merge| {
        let keys = FILE.keys.iter().filter(move |key| key.merge == merge);
        keys.map(|key| key.name).collect::<Vec<_>>()
    };
    let (_, told) = HEAD.split_once("A later file replaces").unwrap();
    let quoted = |names: &[&str], between: &str| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
    };
    let whole = quoted(&keys(Merge::Whole), ", ");
    assert!(told.contains(&format!("whole blocks ({whole})")), "{whole}");
    let (lists, switches): (Vec<&str>, Vec<&str>) =
        keys(Merge::StaysOn).into_iter().partition(|name| name.starts_with("disable_"));
    assert_eq!(lists.len(), 2, "{lists:?}");
    let switches = quoted(&switches, ", ");
    assert!(told.contains(&format!("{switches} and the `disable_` lists stay on")), "{switches}");
    let added = keys(Merge::Add);
    let (last, first) = added.split_last().unwrap();
    let added = format!("{} and `{last}`", quoted(first, ", "));
    assert!(told.contains(&format!("{added} blocks add up")), "{added}");
}

#[test]
fn what_takes_a_restart_is_told_as_the_tables_have_it() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrating.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, after) = text.split_once("except the keys that take a restart:").unwrap();
    let (list, _) = after.split_once(';').unwrap();
    let mut told: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    told.sort_unstable();
    let restarts = |block: &'static Block| {
        let keys = block.keys.iter().filter(|key| key.change == Change::Restart);
        keys.map(move |key| match block.name {
            TOP => key.name.to_owned(),
            name => format!("{name}.{}", key.name),
        })
    };
    let mut keys: Vec<String> = ALL.into_iter().flat_map(restarts).collect();
    keys.sort_unstable();
    assert_eq!(told, keys, "docs/migrating.md");
}

#[test]
fn each_methods_page_has_the_settings_of_its_schema() {
    for &(names, schema) in METHODS {
        let page = names[0];
        let file = format!("{}/../../docs/methods/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let wanted = format!("{before}{BEGIN}{}{END}{after}", settings(schema));
        if std::env::var_os("USHER_WRITE_DOCS").is_some() {
            std::fs::write(&file, &wanted).unwrap();
        }
        assert!(
            std::fs::read_to_string(&file).unwrap() == wanted,
            "docs/methods/{page}.md is out of date; USHER_WRITE_DOCS=1 cargo test -p usher-config document writes it"
        );
    }
}

//! The cases of the incumbents' language, each with what OpenBao Agent made of it: the same bytes,
//! or an error of the same line with the same words.
//!
//! `corpus` covers the language and its functions, `corpus/real` has the shapes that people use.
//! `setup.json` says what the server, the environment and the folder hold; `server` stands in for
//! them. Data comes one pass after it was asked for, as it does in an agent.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod server;

use std::collections::BTreeMap;
use std::path::Path;

use server::{Served, raw};
use usher_template::{Budget, Options, Outcome, Template, render};

/// Cases that are right otherwise here, on purpose, each with why.
const OTHERWISE: &[(&str, Made, &str)] = &[
    ("ct_first_pass_eq_err", Made::Text("long"), "an error before the data is there is none"),
    ("ct_first_pass_file_index_err", Made::Text("2"), "an error before the data is there is none"),
    ("ct_first_pass_index_err", Made::Text("dashed"), "an error before the data is there is none"),
    (
        "ct_first_pass_secrets_index_err",
        Made::Text("one"),
        "an error before the data is there is none",
    ),
    (
        "ct_first_pass_toupper_err",
        Made::Text("APP-USER"),
        "an error before the data is there is none",
    ),
    (
        "go_xerr_paren_nil_strict",
        Made::Text("app-user"),
        "an error before the data is there is none",
    ),
    ("ct_pkicert_two_args_one_template", Made::Text("false"), "other arguments, other certificate"),
    ("go_len_nil_err", Made::Error("len of nil"), "says it in plain words"),
    ("go_eq_list_err", Made::Error("non-comparable type: []interface {}"), "prints no values"),
    (
        "ct_math_modulo_float_err",
        Made::Error("modulo: unknown type for 2 (float64)"),
        "isn't mangled",
    ),
    (
        "go_xerr_recursion",
        Made::Error("exceeded maximum template depth (100)"),
        "the stack has an end",
    ),
    (
        "go_xerr_redaction_two_passes",
        Made::Error("error calling sprig_fail: [redacted]"),
        "no text made of a secret is told",
    ),
    ("ct_secret_v2_deleted_err", Made::Missing, "whoever reads it tells"),
    ("ct_secret_v2_missing_err", Made::Missing, "whoever reads it tells"),
];

/// Cases that need more than the stand-in has, each with why.
const SKIPPED: &[(&str, &str)] = &[
    ("ct_write_to_file", "runs a program that reads the file just written"),
    ("sprig_gen_cert_shapes", "certificates aren't made here yet"),
    ("sprig_gen_with_key_shapes", "certificates aren't made here yet"),
];

/// What a case comes to.
#[derive(Clone, Copy)]
enum Made {
    Text(&'static str),
    Error(&'static str),
    Missing,
}

#[test]
fn every_case_is_rendered_as_the_incumbent_renders_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut failures = Vec::new();
    let mut count = 0;
    let setup = read(&corpus.join("setup.json"));
    let real = read(&corpus.join("real/setup.json"));
    for (folder, setups) in
        [(corpus.clone(), vec![&setup]), (corpus.join("real"), vec![&setup, &real])]
    {
        let own = raw::entries(setups[setups.len() - 1]);
        let cases = raw::entries(own.get("cases").copied().unwrap_or("{}"));
        let mut names: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_suffix(".tmpl").map(str::to_owned)
            })
            .collect();
        names.sort();
        for name in names {
            if SKIPPED.iter().any(|(skipped, _)| *skipped == name) {
                continue;
            }
            count += 1;
            let options = options(cases.get(name.as_str()).copied().unwrap_or("{}"));
            if let Err(difference) = check(&folder, &name, &setups, &options) {
                failures.push(format!("{name}: {difference}"));
            }
        }
    }
    println!("{} of {count} cases, {} skipped", count - failures.len(), SKIPPED.len());
    assert!(failures.is_empty(), "{}\n{} of {count} failed", failures.join("\n"), failures.len());
}

fn check(folder: &Path, name: &str, setups: &[&String], options: &Options) -> Result<(), String> {
    let source = std::fs::read(folder.join(format!("{name}.tmpl"))).unwrap();
    let expected = std::fs::read(folder.join(format!("{name}.expected"))).ok();
    let error = std::fs::read_to_string(folder.join(format!("{name}.error"))).ok();
    let otherwise = OTHERWISE.iter().find(|(case, ..)| *case == name).map(|(_, made, _)| *made);
    let made = match Template::parse(&source, options) {
        Ok(template) => rendered(folder, setups, &template),
        Err(failure) => Err(format!("parse: {failure}")),
    };
    match (otherwise, made) {
        (Some(Made::Missing), Err(message)) if message.starts_with("missing") => Ok(()),
        (Some(Made::Text(text)), Ok(made)) if made == text.as_bytes() => Ok(()),
        (Some(Made::Error(text)), Err(message)) if message.contains(text) => {
            same_line(&message, &error.unwrap_or_default())
        }
        (_, Ok(made)) => match (expected, error) {
            (Some(expected), _) if expected == made => Ok(()),
            (Some(expected), _) => Err(format!(
                "differs\n  expected {:?}\n  made     {:?}",
                String::from_utf8_lossy(&expected),
                String::from_utf8_lossy(&made)
            )),
            (None, error) => Err(format!(
                "no error\n  expected {}\n  made     {:?}",
                error.unwrap_or_default().trim_end(),
                String::from_utf8_lossy(&made)
            )),
        },
        (_, Err(message)) => match error {
            Some(error) if error.trim_end() == message => Ok(()),
            Some(error) => {
                Err(format!("other error\n  expected {}\n  made     {message}", error.trim_end()))
            }
            None => Err(format!("failed\n  {message}")),
        },
    }
}

/// Renders until everything is there, or nothing more comes.
fn rendered(folder: &Path, setups: &[&String], template: &Template) -> Result<Vec<u8>, String> {
    let root = if folder.ends_with("real") { folder.parent().unwrap() } else { folder };
    let mut served = Served::new(root, setups);
    loop {
        match render(template, &served, Budget::default()) {
            Outcome::Rendered(rendered) => return Ok(rendered.output.expose().clone()),
            Outcome::Failed(failure) => return Err(format!("execute: {failure}")),
            Outcome::Missing(queries) => {
                let more = queries.iter().filter(|query| served.serve(query)).count();
                if more == 0 {
                    return Err("missing".to_owned());
                }
            }
        }
    }
}

fn same_line(message: &str, error: &str) -> Result<(), String> {
    let line = |text: &str| {
        let (_, behind) = text.split_once("template: :")?;
        behind.split(':').next().map(str::to_owned)
    };
    if line(message) == line(error) {
        Ok(())
    } else {
        Err(format!("other line\n  {message}\n  {error}"))
    }
}

fn options(case: &str) -> Options {
    let case: BTreeMap<String, serde_json::Value> = serde_json::from_str(case).unwrap();
    let text = |key: &str| case.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    Options {
        left_delimiter: text("left_delimiter"),
        right_delimiter: text("right_delimiter"),
        error_on_missing_key: case.get("error_on_missing_key").is_some_and(|value| value == true),
        ..Options::default()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

//! Functions that need something from outside: secrets, files, programs, the environment. They
//! ask for it by a query; `writeToFile` leaves what it writes for after the pass.

use std::collections::BTreeMap;

use usher_secret::Secret;

use crate::eval::Evaluator;
use crate::function::Kind::{Any, Text};
use crate::function::{Arguments, Function, fixed, variadic};
use crate::outcome::FileWrite;
use crate::query::Query;
use crate::quote::quote;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    variadic("secret", &[Text], secret),
    fixed("secrets", &[Text], |evaluator, arguments| {
        let path = path(&arguments.text(0));
        let names = if path.is_empty() { None } else { evaluator.ask(Query::List { path })? };
        Ok(names.unwrap_or_else(|| Value::strings(Vec::<String>::new())))
    }),
    variadic("pkiCert", &[Text], |evaluator, arguments| {
        if arguments.0.is_empty() {
            return Ok(Value::Nil);
        }
        let query = Query::Certificate { path: path(&arguments.text(0)), data: pairs(arguments)? };
        Ok(evaluator.ask(query)?.unwrap_or(Value::Nil))
    }),
    fixed("file", &[Text], |evaluator, arguments| {
        let path = arguments.text(0).into_owned();
        let content = if path.is_empty() { None } else { evaluator.ask(Query::File { path })? };
        Ok(content.unwrap_or_else(|| Value::string("")))
    }),
    variadic("plugin", &[Text, Text], |evaluator, arguments| {
        let command = arguments.text(0).trim().to_owned();
        if command.is_empty() {
            return Ok(Value::string(""));
        }
        let texts = (1..arguments.0.len()).map(|index| arguments.text(index).trim().to_owned());
        let query =
            Query::Plugin { command, arguments: texts.filter(|text| !text.is_empty()).collect() };
        Ok(evaluator.ask(query)?.unwrap_or_else(|| Value::string("")))
    }),
    variadic("sockaddr", &[Text], |evaluator, arguments| {
        let texts: Vec<_> = (0..arguments.0.len()).map(|index| arguments.text(index)).collect();
        let query = Query::Addresses { expression: texts.join(" ") };
        Ok(evaluator.ask(query)?.unwrap_or_else(|| Value::string("")))
    }),
    fixed("sprig_getHostByName", &[Text], |evaluator, arguments| {
        let query = Query::Host { name: arguments.text(0).into_owned() };
        Ok(evaluator.ask(query)?.unwrap_or_else(|| Value::string("")))
    }),
    variadic("writeToFile", &[Text, Text, Text, Text, Text], write_to_file),
    fixed("env", &[Text], |evaluator, arguments| {
        let value = agent_variable(evaluator, &arguments.text(0));
        Ok(Value::string(value.unwrap_or_default()))
    }),
    fixed("envOrDefault", &[Text, Text], |evaluator, arguments| {
        match agent_variable(evaluator, &arguments.text(0)) {
            Some(value) => Ok(Value::string(value)),
            None => Ok(arguments.any(1).clone()),
        }
    }),
    fixed("mustEnv", &[Text], |evaluator, arguments| {
        let name = arguments.text(0);
        match evaluator.values.environment(&name) {
            Some(value) if !value.is_empty() => Ok(Value::string(value)),
            _ => Err(format!("required environment variable {name} is empty")),
        }
    }),
    fixed("sprig_env", &[Text], |evaluator, arguments| {
        let value = evaluator.values.environment(&arguments.text(0));
        Ok(Value::string(value.unwrap_or_default()))
    }),
    fixed("sprig_expandenv", &[Text], |evaluator, arguments| {
        Ok(Value::string(expand(evaluator, &arguments.text(0))))
    }),
    variadic("executeTemplate", &[Text, Any], |evaluator, arguments| {
        let count = arguments.0.len();
        if count > 2 {
            return Err(format!(
                "executeTemplate: wrong number of arguments, expected 1 or 2, but got {count}"
            ));
        }
        let name = arguments.text(0);
        if !evaluator.has_body(&name) {
            let name = quote(name.as_bytes());
            return Err(format!("template: no template {name} associated with template \"\""));
        }
        let dot = match arguments.any(1) {
            Value::Nil => Value::Missing,
            value => value.clone(),
        };
        evaluator.render_apart(&name, dot).map(Value::string)
    }),
    fixed("scratch", &[], |evaluator, _| Ok(evaluator.scratch.clone())),
];

fn secret(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    if arguments.0.is_empty() {
        return Ok(Value::Nil);
    }
    let path = path(&arguments.text(0));
    let query = if arguments.0.len() == 1 {
        Query::Read { path }
    } else {
        Query::Write { path, data: pairs(arguments)? }
    };
    Ok(evaluator.ask(query)?.unwrap_or(Value::Nil))
}

/// The path as the server knows it.
fn path(text: &str) -> String {
    text.trim().trim_matches('/').to_owned()
}

/// What is written: `key=value`, each without space around it.
fn pairs(arguments: Arguments<'_>) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    for index in 1..arguments.0.len() {
        let text = arguments.text(index);
        if text.is_empty() {
            continue;
        }
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!("not k=v pair {}", quote(arguments.shown(index).as_bytes())));
        };
        pairs.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(pairs)
}

/// A variable as the agent knows it: `BAO_X` may be set as `VAULT_X`.
fn agent_variable(evaluator: &Evaluator<'_>, name: &str) -> Option<String> {
    evaluator.values.environment(name).or_else(|| {
        let name = name.strip_prefix("BAO_")?;
        evaluator.values.environment(&format!("VAULT_{name}"))
    })
}

/// `$NAME` and `${NAME}` by their values.
fn expand(evaluator: &Evaluator<'_>, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, behind) = braced.unwrap_or_else(|| {
            let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
            after.split_at(after.find(|char| !word(char)).unwrap_or(after.len()))
        });
        if name.is_empty() && braced.is_none() {
            out.push('$');
        }
        out.push_str(&evaluator.values.environment(name).unwrap_or_default());
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn write_to_file(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<Value, String> {
    let (flags, content) = match arguments.0.len() {
        5 => (String::new(), 4),
        6 => (arguments.text(4).into_owned(), 5),
        count => {
            return Err(format!(
                "writeToFile: wrong number of arguments, expected 5 or 6, but got {count}"
            ));
        }
    };
    let mode = arguments.text(3);
    let mode = u32::from_str_radix(&mode, 8)
        .map_err(|_| format!("writeToFile: the mode {mode} is no octal number"))?;
    let mut content = arguments.bytes(content).to_vec();
    if flags.contains("newline") {
        content.push(b'\n');
    }
    evaluator.writes.push(FileWrite {
        path: arguments.text(0).into_owned(),
        user: arguments.text(1).into_owned(),
        group: arguments.text(2).into_owned(),
        mode,
        append: flags.contains("append"),
        content: Secret::new(content),
    });
    Ok(Value::string(""))
}

//! Random trees, laid out in every way that HCL 1 allows, are read back.

use std::sync::Arc;

use proptest::prelude::*;

use crate::diagnostic::Source;
use crate::hcl::read;
use crate::tree::{Name, Node, NumberValue, Object, Value};

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { path: "agent.hcl".into(), text: text.to_owned() })
}

/// A tree without places, to lay out and to compare.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Model>),
    Block(Vec<(String, Vec<String>, Model)>),
}

fn model_of(node: &Node) -> Model {
    match &node.value {
        Value::String(text) => Model::Text(text.clone()),
        Value::Number(number) => match number.value {
            NumberValue::Integer(value) => Model::Integer(value),
            NumberValue::Float(value) => Model::Float(value),
        },
        Value::Bool(value) => Model::Bool(*value),
        Value::Null => panic!("HCL 1 has no null"),
        Value::List(nodes) => Model::List(nodes.iter().map(model_of).collect()),
        Value::Object(object) => Model::Block(model_of_items(object)),
    }
}

fn model_of_items(object: &Object) -> Vec<(String, Vec<String>, Model)> {
    let text = |name: &Name| name.text.clone();
    let items = object.items.iter();
    items.map(|i| (text(&i.key), i.labels.iter().map(text).collect(), model_of(&i.node))).collect()
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "Z", "é", "日", "\\", "\"", "'", "$", "${", "{", "}", "%", "%{", "$$", "\n", "\t",
        " ", "#", "//", "/*", "=", ",", "EOF", "\u{7f}", "\u{1}", "\r",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn any_items(
    value: impl Strategy<Value = Model> + Clone + 'static,
) -> impl Strategy<Value = Vec<(String, Vec<String>, Model)>> {
    let name = || prop_oneof![3 => "[a-z_][a-zA-Z0-9_.-]{0,5}", 1 => any_text()];
    let item =
        (name(), prop::collection::vec(name(), 0..3), value).prop_map(|(key, labels, value)| {
            let labels = if matches!(value, Model::Block(_)) { labels } else { Vec::new() };
            (key, labels, value)
        });
    prop::collection::vec(item, 0..5)
}

fn any_value() -> impl Strategy<Value = Model> + Clone {
    let leaf = prop_oneof![
        any_text().prop_map(Model::Text),
        any::<i64>().prop_map(Model::Integer),
        (-1000..1000_i32).prop_map(|n| Model::Float(f64::from(n) / 8.0)),
        any::<bool>().prop_map(Model::Bool),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Model::List),
            any_items(inner.boxed()).prop_map(Model::Block),
        ]
    })
}

/// Writes a model as HCL 1; `choices` decides between equal ways.
struct Writer {
    text: String,
    choices: Vec<u8>,
    at: usize,
}

impl Writer {
    fn choose(&mut self, count: u8) -> u8 {
        self.at += 1;
        self.choices[self.at % self.choices.len()] % count
    }

    fn blank(&mut self) {
        let blank = [" ", "\n", "\t", "\r\n", " # b = { \"\n", " // ]\n", "/* a = \" */", "  "]
            [usize::from(self.choose(8))];
        self.text.push_str(blank);
    }

    fn items(&mut self, items: &[(String, Vec<String>, Model)]) {
        for (key, labels, value) in items {
            self.name(key);
            for label in labels {
                self.blank();
                self.name(label);
            }
            if !matches!(value, Model::Block(_)) || (labels.is_empty() && self.choose(2) == 0) {
                self.blank();
                self.text.push('=');
            }
            self.blank();
            self.value(value);
            self.blank();
            if self.choose(3) == 0 {
                self.text.push(',');
                self.blank();
            }
        }
    }

    fn name(&mut self, name: &str) {
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            && !matches!(name, "true" | "false");
        if plain && self.choose(3) > 0 { self.text.push_str(name) } else { self.quoted(name) }
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for (index, character) in text.char_indices() {
            let opens = character == '$' && text[index + 1..].starts_with('{');
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                other if opens || self.choose(8) == 0 => {
                    let escaped = format!("\\u{:04x}", u32::from(other));
                    self.text.push_str(&escaped);
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    fn value(&mut self, value: &Model) {
        match value {
            Model::Text(text)
                if text.ends_with('\n') && !text.contains(['\r']) && self.choose(2) == 0 =>
            {
                self.heredoc(text);
            }
            Model::Text(text) => self.quoted(text),
            Model::Integer(value) => {
                let sign = if *value < 0 { "-" } else { "" };
                let size = value.unsigned_abs();
                let text = match self.choose(3) {
                    0 => format!("{sign}0{size:o}"),
                    1 if *value >= 0 => format!("0x{size:X}"),
                    _ => value.to_string(),
                };
                self.text.push_str(&text);
            }
            Model::Float(value) => {
                let text =
                    if self.choose(2) == 0 { format!("{value:?}") } else { format!("{value:e}") };
                let text = if text.contains(['.', 'e']) { text } else { format!("{text}.0") };
                self.text.push_str(&text);
            }
            Model::Bool(value) => self.text.push_str(&value.to_string()),
            Model::List(values) => {
                self.text.push('[');
                for (index, value) in values.iter().enumerate() {
                    self.blank();
                    self.value(value);
                    self.blank();
                    if index + 1 < values.len() || self.choose(2) == 0 {
                        self.text.push(',');
                    }
                }
                self.blank();
                self.text.push(']');
            }
            Model::Block(items) => {
                self.text.push('{');
                self.blank();
                self.items(items);
                self.text.push('}');
            }
        }
    }

    fn heredoc(&mut self, text: &str) {
        let indented = self.choose(2) == 0;
        let margin = if indented { "\t  " } else { "" };
        self.text.push_str(if indented { "<<-END1\n" } else { "<<END1\n" });
        for line in text
            .trim_end_matches('\n')
            .split('\n')
            .chain(std::iter::repeat_n("", text.len() - text.trim_end_matches('\n').len() - 1))
        {
            self.text.push_str(margin);
            self.text.push_str(line);
            self.text.push('\n');
        }
        self.text.push_str(margin);
        self.text.push_str("END1\n");
    }
}

proptest! {
    #[test]
    fn a_tree_in_any_layout_is_read_back(
        items in any_items(any_value()),
        choices in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut writer = Writer { text: String::new(), choices, at: 0 };
        writer.blank();
        writer.items(&items);
        let object = read(&source(&writer.text))
            .map_err(|error| TestCaseError::fail(format!("{error:?} in\n{}", writer.text)))?;
        prop_assert_eq!(model_of_items(&object), items, "{}", writer.text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "a", "\"", "{", "}", "[", "]", "=", ",", "1", "0", "x", ".", "-", "<<", "<<-E\n", "E\n", "\n", " ", "$",
        "${", "\\", "#", "/*", "*/", "é", "true", "e",
    ]), 0..40)) {
        let text = pieces.concat();
        let _ = read(&source(&text));
        let _ = crate::json::read(&source(&text));
    }
}

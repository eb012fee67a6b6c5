//! Reads HCL 1 into the tree: tokens, laid out again as HCL 2, read by hcl-edit.

use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, Object as HclObject, ObjectKey};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::Element;

use crate::diagnostic::{Location, Source};
use crate::relay::{Place, Relaid, relay};
use crate::tokens::{Kind, SyntaxError, Token, tokenize};
use crate::tree::{Item, Name, Node, Number, Object, Value};

/// The items of a file.
pub(crate) fn read(source: &Arc<Source>) -> Result<Object, SyntaxError> {
    let tokens = tokenize(&source.text)?;
    let relaid = relay(&tokens)?;
    let body = match hcl_edit::parser::parse_body(&relaid.text) {
        Ok(body) => body,
        Err(error) => {
            let place = relaid.place(error.location().offset());
            let token = place.and_then(|place| tokens.get(place.token));
            let (start, end) = token.map_or((0, 0), |token| (token.start, token.end));
            return Err(SyntaxError::new(error.message(), "", start, end));
        }
    };
    let reader = Reader { source, tokens: &tokens, relaid: &relaid };
    reader.body(&body).map_err(|Unread(at)| {
        let token = relaid.place(at).and_then(|place| tokens.get(place.token));
        let (start, end) = token.map_or((0, 0), |token| (token.start, token.end));
        SyntaxError::new(
            "this can't be read",
            "write a string, a number, true, false, a list or a block",
            start,
            end,
        )
    })
}

/// An offset of the HCL 2 text where something stands that HCL 1 can't say.
struct Unread(usize);

struct Reader<'a> {
    source: &'a Arc<Source>,
    tokens: &'a [Token],
    relaid: &'a Relaid,
}

impl Reader<'_> {
    fn token(&self, at: usize) -> Result<(Place, &Token), Unread> {
        let place = self.relaid.place(at).ok_or(Unread(at))?;
        Ok((place, self.tokens.get(place.token).ok_or(Unread(at))?))
    }

    fn location(&self, token: &Token) -> Location {
        Location::new(self.source, token.start, token.end)
    }

    /// The key or label as it was written, and whether it is a label.
    fn name(&self, spanned: &impl Span) -> Result<(Name, bool), Unread> {
        let at = start(spanned);
        let (place, token) = self.token(at)?;
        match &token.kind {
            Kind::Identifier(text) | Kind::String(text) => {
                Ok((Name { text: text.clone(), location: self.location(token) }, place.label))
            }
            _ => Err(Unread(at)),
        }
    }

    fn body(&self, body: &Body) -> Result<Object, Unread> {
        let mut object = Object::default();
        for structure in body {
            object.items.push(match structure {
                Structure::Attribute(attribute) => Item {
                    key: self.name(&attribute.key)?.0,
                    labels: Vec::new(),
                    node: self.value(&attribute.value)?,
                },
                Structure::Block(block) => {
                    let key = self.name(&block.ident)?.0;
                    let labels = block
                        .labels
                        .iter()
                        .map(|label| self.name(label).map(|(name, _)| name))
                        .collect::<Result<Vec<Name>, Unread>>()?;
                    let location = key.location.clone();
                    let value = Value::Object(self.body(&block.body)?);
                    Item { key, labels, node: Node { value, location } }
                }
            });
        }
        Ok(object)
    }

    fn value(&self, expression: &Expression) -> Result<Node, Unread> {
        let at = start(expression);
        let (_, token) = self.token(at)?;
        let value = match expression {
            Expression::String(text) => Value::String(text.to_string()),
            Expression::StringTemplate(template) => {
                let mut text = String::new();
                for element in template {
                    match element {
                        Element::Literal(literal) => text.push_str(literal),
                        _ => return Err(Unread(at)),
                    }
                }
                Value::String(text)
            }
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(_) => match token.kind {
                Kind::Number(value) => {
                    let text = self.source.text.get(token.start..token.end).unwrap_or_default();
                    Value::Number(Number { text: text.to_owned(), value })
                }
                _ => return Err(Unread(at)),
            },
            Expression::Array(array) => {
                Value::List(array.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            Expression::Object(object) => Value::Object(self.object(object)?),
            _ => return Err(Unread(at)),
        };
        Ok(Node { value, location: self.location(token) })
    }

    fn object(&self, object: &HclObject) -> Result<Object, Unread> {
        let mut items = Vec::new();
        for (key, value) in object {
            let (key, _) = self.key(key)?;
            let mut labels = Vec::new();
            let mut expression = value.expr();
            while let Expression::Object(inner) = expression
                && let Some((inner_key, inner_value)) = inner.iter().next()
                && let (name, true) = self.key(inner_key)?
            {
                labels.push(name);
                expression = inner_value.expr();
            }
            items.push(Item { key, labels, node: self.value(expression)? });
        }
        Ok(Object { items })
    }

    fn key(&self, key: &ObjectKey) -> Result<(Name, bool), Unread> {
        match key {
            ObjectKey::Ident(identifier) => self.name(identifier),
            ObjectKey::Expression(expression) => self.name(expression),
        }
    }
}

fn start(spanned: &impl Span) -> usize {
    spanned.span().map_or(0, |span| span.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { path: "agent.hcl".into(), text: text.to_owned() })
    }

    fn json(text: &str) -> serde_json::Value {
        let object = read(&source(text)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        object.to_json(&mut Vec::new(), &mut |_, _| {}).into()
    }

    #[test]
    fn the_lax_layouts_of_the_incumbents_are_read() {
        let json_of = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        for (text, expected) in [
            (r#"c = { a = "x" b = "y" }"#, r#"{"c": {"a": "x", "b": "y"}}"#),
            ("c { a = 1, b = 2, }", r#"{"c": {"a": 1, "b": 2}}"#),
            (r#""a" = 1 "b c" = 2 d.e = 3 é = 4"#, r#"{"a": 1, "b c": 2, "d.e": 3, "é": 4}"#),
            ("method approle { }", r#"{"method": {"approle": {}}}"#),
            (r#"a = { m = { t = "x" } }"#, r#"{"a": {"m": {"t": "x"}}}"#),
            ("mode = 0640 n = -1 f = .5", r#"{"mode": 416, "n": -1, "f": 0.5}"#),
            (r#"a = "${b} %{c} $${d}""#, r#"{"a": "${b} %{c} $${d}"}"#),
            ("a\n=\n[,1,\n[2],]", r#"{"a": [1, [2]]}"#),
            (
                "a = [{ b = 1 b = 2 c { d = 1 } c { d = 2 } e x { y = 1 } }]",
                r#"{"a": [{"b": 2, "c": [{"d": 1}, {"d": 2}], "e": {"x": {"y": 1}}}]}"#,
            ),
            ("a = 1 a = \"x\" a-a = 1 a_a = 2", r#"{"a": "x", "a-a": 1, "a_a": 2}"#),
            (
                "for = 1 null = 2 l = [{ for = 1 in = 2 }]",
                r#"{"for": 1, "null": 2, "l": [{"for": 1, "in": 2}]}"#,
            ),
            ("a = <<EOF\n\\d ${x\nEOF\nb = true", r#"{"a": "\\d ${x\n", "b": true}"#),
            ("# nothing", "{}"),
        ] {
            assert_eq!(json(text), json_of(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_hcl_1_is_refused_at_its_place() {
        for (text, offset, said) in [
            ("a = 1,, b = 2", 6, "one comma too many"),
            (", a = 1", 0, "one comma too many"),
            ("a = [1 2]", 7, "comma"),
            ("a = [1", 4, "close it with ]"),
            ("a b = 1", 4, "takes no `=`"),
            ("a \"b\" = { }", 6, "takes no `=`"),
            ("a = x", 4, "double quotes"),
            ("a = TRUE", 4, "write true"),
            ("a = 5s", 5, "\"5s\""),
            ("a = 5s\nb = 1", 5, "\"5s\""),
            ("a = 30 s", 7, "\"30s\""),
            ("a = 30 seconds\nb = 1", 7, "\"30s\""),
            ("a = 64MiB", 6, "\"64MiB\""),
            ("a = 5x\nb = 1", 5, "\"5x\""),
            ("mode = 0o600", 7, "write 0600"),
            ("mode = 0o600\nb = 1", 7, "write 0600"),
            ("a = yes", 4, "write true; as a string"),
            ("a = 1\u{a0}b = 2", 5, "no-break space (U+00A0)"),
            ("a\u{200b} = 1", 1, "zero-width space (U+200B)"),
            ("a = “x”", 4, "straight double quotes"),
            ("a –b = 1", 2, "plain hyphen"),
            ("a", 0, "neither `=` nor `{`"),
            ("a { b }", 4, "neither `=` nor `{`"),
            ("a =", 3, "value is missing"),
            ("a = }", 4, "value is missing"),
            ("a { b = 1", 2, "close it with }"),
            ("a = 1 }", 6, "closes nothing"),
            ("# why\n{ \"a\": 1 }", 11, "no comment either"),
            ("# why\n{ }", 6, "nothing may stand before its `{`"),
            ("1a = 1", 0, "name can't be a number"),
            ("true = 1", 0, "name can't be a number"),
            ("a = f(1)", 5, "no functions"),
        ] {
            let error = read(&source(text)).expect_err(text);
            assert_eq!(error.start, offset, "{text:?}: {error:?}");
            assert!(
                format!("{} {}", error.message, error.help).contains(said),
                "{text:?}: {error:?}"
            );
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        for text in [
            "a {".repeat(100_000),
            format!("a = {}", "[".repeat(100_000)),
            format!("a = [{{ {} {{", "b ".repeat(100_000)),
        ] {
            assert!(read(&source(&text)).expect_err("deep").message.contains("nested deeper"));
        }
    }

    #[test]
    fn each_key_and_value_knows_its_place() {
        let object = read(&source("a {\n  b \"c\" {\n    d = [1,\n  0640] }\n}\n")).unwrap();
        let mut places = Vec::new();
        object.to_json(&mut Vec::new(), &mut |path, place| {
            places.push(format!("{} {}:{}", path.join("."), place.line(), place.column()));
        });
        for place in
            ["a 1:1", "a.b 2:3", "a.b.c.d 3:5", "a.b.c.d 3:9", "a.b.c.d.0 3:10", "a.b.c.d.1 4:3"]
        {
            assert!(places.iter().any(|p| p == place), "{place} in {places:?}");
        }
    }
}

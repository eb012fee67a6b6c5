//! YAML and TOML.

use crate::eval::Evaluator;
use crate::function::Kind::{Any, Text};
use crate::function::{Arguments, Function, fixed};
use crate::functions::consul::is_secret;
use crate::value::{Map, MapType, Value};
use crate::{toml, yaml};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("parseYAML", &[Text], |_, arguments| {
        let text = arguments.text(0);
        if text.is_empty() {
            return Ok(Value::Map(Map::new(MapType::StringAny, [])));
        }
        yaml::parse(&text, is_secret(arguments))
    }),
    fixed("toYAML", &[Any], |evaluator, arguments| {
        written(evaluator, arguments, "toYAML", yaml::write)
    }),
    fixed("toTOML", &[Any], |evaluator, arguments| {
        written(evaluator, arguments, "toTOML", toml::write)
    }),
];

fn written(
    evaluator: &mut Evaluator<'_>,
    arguments: Arguments<'_>,
    name: &str,
    write: fn(&Value, usize) -> Result<Vec<u8>, String>,
) -> Result<Value, String> {
    let text = write(arguments.any(0), evaluator.meter.bytes());
    let text = text.map_err(|why| format!("{name}: {why}"))?;
    Ok(Value::string(text.trim_ascii_end()))
}

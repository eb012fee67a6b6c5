//! JSON and base64, of consul-template and of Sprig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32;

use crate::eval::Evaluator;
use crate::function::Kind::{Any, Text};
use crate::function::{Arguments, Function, Run, fixed};
use crate::functions::consul::{decode_base64, is_secret};
use crate::json::{self, Numbers, Style};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("toJSON", &[Any], |evaluator, arguments| {
        to_json(evaluator, arguments, ESCAPED).map_err(|why| format!("toJSON: {why}"))
    }),
    fixed("toJSONPretty", &[Any], |evaluator, arguments| {
        to_json(evaluator, arguments, PRETTY).map_err(|why| format!("toJSONPretty: {why}"))
    }),
    fixed("toUnescapedJSON", &[Any], |evaluator, arguments| {
        to_json(evaluator, arguments, RAW).map_err(|why| format!("toUnescapedJSON: {why}"))
    }),
    fixed("toUnescapedJSONPretty", &[Any], |evaluator, arguments| {
        let style = Style { pretty: true, html: false };
        to_json(evaluator, arguments, style).map_err(|why| format!("toUnescapedJSONPretty: {why}"))
    }),
    fixed("sprig_toJson", &[Any], |evaluator, arguments| {
        Ok(to_json(evaluator, arguments, ESCAPED).unwrap_or_else(|_| Value::string("")))
    }),
    fixed("sprig_toPrettyJson", &[Any], |evaluator, arguments| {
        Ok(to_json(evaluator, arguments, PRETTY).unwrap_or_else(|_| Value::string("")))
    }),
    fixed("sprig_toRawJson", &[Any], MUST_RAW),
    fixed("sprig_mustToJson", &[Any], |evaluator, arguments| {
        to_json(evaluator, arguments, ESCAPED)
    }),
    fixed("sprig_mustToPrettyJson", &[Any], |evaluator, arguments| {
        to_json(evaluator, arguments, PRETTY)
    }),
    fixed("sprig_mustToRawJson", &[Any], MUST_RAW),
    fixed("sprig_fromJson", &[Text], |_, arguments| Ok(from_json(arguments).unwrap_or(Value::Nil))),
    fixed("sprig_mustFromJson", &[Text], |_, arguments| from_json(arguments)),
    fixed("sprig_b64enc", &[Text], |_, arguments| {
        Ok(Value::string(STANDARD.encode(arguments.bytes(0))))
    }),
    // What cannot be decoded gives the error as text.
    fixed("sprig_b64dec", &[Text], |_, arguments| {
        Ok(decode_base64(&STANDARD, arguments.bytes(0)).unwrap_or_else(Value::string))
    }),
    fixed("sprig_b32enc", &[Text], |_, arguments| {
        Ok(Value::string(BASE32.encode(arguments.bytes(0))))
    }),
    fixed("sprig_b32dec", &[Text], |_, arguments| {
        Ok(Value::string(match BASE32.decode(arguments.bytes(0)) {
            Ok(bytes) => bytes,
            Err(error) => {
                format!("illegal base32 data at input byte {}", error.position).into_bytes()
            }
        }))
    }),
];

const ESCAPED: Style = Style { pretty: false, html: true };

const PRETTY: Style = Style { pretty: true, html: true };

const RAW: Style = Style { pretty: false, html: false };

const MUST_RAW: Run = |evaluator, arguments| to_json(evaluator, arguments, RAW);

fn to_json(
    evaluator: &mut Evaluator<'_>,
    arguments: Arguments<'_>,
    style: Style,
) -> Result<Value, String> {
    json::write(arguments.any(0), style, evaluator.meter.bytes()).map(Value::string)
}

fn from_json(arguments: Arguments<'_>) -> Result<Value, String> {
    json::parse(arguments.bytes(0), Numbers::Float, is_secret(arguments))
}

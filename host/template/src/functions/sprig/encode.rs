//! JSON and base64, of consul-template and of Sprig.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;

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
    fixed("sprig_fromJson", &[Text], |_, arguments| {
        Ok(from_json(arguments).unwrap_or(Value::Nil))
    }),
    fixed("sprig_mustFromJson", &[Text], |_, arguments| from_json(arguments)),
    fixed("sprig_b64enc", &[Text], |_, arguments| {
        Ok(Value::string(STANDARD.encode(arguments.bytes(0))))
    }),
    // What cannot be decoded gives the error as text.
    fixed("sprig_b64dec", &[Text], |_, arguments| {
        Ok(decode_base64(&STANDARD, arguments.bytes(0)).unwrap_or_else(Value::string))
    }),
    fixed("sprig_b32enc", &[Text], |_, arguments| {
        Ok(Value::string(encode_base32(arguments.bytes(0))))
    }),
    fixed("sprig_b32dec", &[Text], |_, arguments| {
        Ok(match decode_base32(arguments.bytes(0)) {
            Ok(bytes) => Value::string(bytes),
            Err(at) => Value::string(format!("illegal base32 data at input byte {at}")),
        })
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

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode_base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let mut number = 0_u64;
        for index in 0..5 {
            number = number << 8 | u64::from(group.get(index).copied().unwrap_or(0));
        }
        let digits = (group.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = (number >> (35 - 5 * index)) as usize & 31;
            text.push(if index < digits { char::from(BASE32[digit]) } else { '=' });
        }
    }
    text
}

/// The bytes, or where the text is wrong.
fn decode_base32(text: &[u8]) -> Result<Vec<u8>, usize> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let mut bytes = Vec::new();
    for (group, start) in text.chunks(8).zip((0..).step_by(8)) {
        let digits = group.iter().position(|byte| *byte == b'=').unwrap_or(group.len());
        let mut number = 0_u64;
        for index in 0..8 {
            let digit = match group.get(index) {
                Some(byte) if index < digits => {
                    BASE32.iter().position(|digit| digit == byte).ok_or(start + index)?
                }
                _ => 0,
            };
            number = number << 5 | digit as u64;
        }
        let padding = group[digits..].iter().all(|byte| *byte == b'=');
        let last = start + 8 >= text.len();
        if group.len() < 8 || !padding || digits < 8 && !last || matches!(digits, 0 | 1 | 3 | 6) {
            // Go tells where the partial group begins.
            return Err(if group.len() < 8 { start } else { start + digits });
        }
        bytes.extend_from_slice(&number.to_be_bytes()[3..3 + digits * 5 / 8]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_read_and_written() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar", "Hello"] {
            let encoded = encode_base32(text.as_bytes());
            assert_eq!(decode_base32(encoded.as_bytes()).as_deref(), Ok(text.as_bytes()), "{encoded}");
        }
        assert_eq!(encode_base32(b"Hello"), "JBSWY3DP");
        assert_eq!(decode_base32(b"1"), Err(0));
    }
}

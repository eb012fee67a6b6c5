//! What JavaScript programs expect of their host beyond the language: text encodings, base64,
//! URLs, the console and random values.
//!
//! They are written in JavaScript over a few functions of this component, and made when the
//! program is built: a script pays nothing for them.

use std::path::Path;
use std::slice;

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::property::Attribute;
use boa_engine::{
    Context, JsArgs, JsNativeError, JsResult, JsString, JsValue, NativeFunction, Source, js_string,
};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::{Url, form_urlencoded, quirks};

use crate::bindings::usher::plugin::log;
use crate::convert::{Values, from_bytes, from_fields, from_text, record};
use crate::{modules, random};

struct Library {
    names: &'static [&'static str],
    file: &'static str,
    /// A function of the native functions below; returns an object with the names.
    text: &'static str,
}

const LIBRARIES: &[Library] = &[
    Library {
        names: &["TextEncoder", "TextDecoder"],
        file: "usher/text.js",
        text: include_str!("globals/text.js"),
    },
    Library {
        names: &["URL", "URLSearchParams"],
        file: "usher/url.js",
        text: include_str!("globals/url.js"),
    },
    Library {
        names: &["console"],
        file: "usher/console.js",
        text: include_str!("globals/console.js"),
    },
    Library {
        names: &["atob", "btoa", "crypto"],
        file: "usher/bytes.js",
        text: include_str!("globals/bytes.js"),
    },
];

/// Defines every name.
pub(crate) fn define(context: &mut Context) -> JsResult<()> {
    let native = native(context)?;
    for library in LIBRARIES {
        let source = Source::from_bytes(library.text.as_bytes()).with_path(Path::new(library.file));
        let values = context
            .eval(source)?
            .as_callable()
            .ok_or_else(|| JsNativeError::typ().with_message("a library is no function"))?
            .call(&JsValue::undefined(), slice::from_ref(&native), context)?
            .as_object()
            .ok_or_else(|| JsNativeError::typ().with_message("a library made no object"))?;
        for name in library.names {
            let value = values.get(JsString::from(*name), context)?;
            let attribute = Attribute::WRITABLE | Attribute::CONFIGURABLE;
            context.register_global_property(JsString::from(*name), value, attribute)?;
        }
    }
    Ok(())
}

type Pointer = fn(&JsValue, &[JsValue], &mut Context) -> JsResult<JsValue>;

const NATIVE: &[(&str, Pointer)] = &[
    ("encode", encode),
    ("decode", decode),
    ("incomplete", incomplete),
    ("toBase64", to_base64),
    ("fromBase64", from_base64),
    ("random", random_bytes),
    ("log", write_log),
    ("parseUrl", parse_url),
    ("changeUrl", change_url),
    ("parseForm", parse_form),
    ("writeForm", write_form),
];

fn native(context: &mut Context) -> JsResult<JsValue> {
    let object = record([], context)?;
    for (name, pointer) in NATIVE {
        let function =
            FunctionObjectBuilder::new(context.realm(), NativeFunction::from_fn_ptr(*pointer))
                .name(js_string!(*name))
                .build();
        object.create_data_property_or_throw(JsString::from(*name), function, context)?;
    }
    Ok(object.into())
}

fn text(arguments: &[JsValue], index: usize, context: &mut Context) -> JsResult<String> {
    Ok(arguments.get_or_undefined(index).to_string(context)?.to_std_string_lossy())
}

fn bytes(arguments: &[JsValue], index: usize, context: &mut Context) -> JsResult<Vec<u8>> {
    Values::new(context, "this call").bytes(arguments.get_or_undefined(index), "")
}

/// `encode(text)`: UTF-8.
fn encode(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = text(arguments, 0, context)?;
    from_bytes(text.into_bytes(), context)
}

/// `decode(bytes, fatal)`: undefined for what is fatal.
fn decode(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let bytes = bytes(arguments, 0, context)?;
    if arguments.get_or_undefined(1).to_boolean() {
        return Ok(std::str::from_utf8(&bytes).map(from_text).unwrap_or_default());
    }
    Ok(from_text(&String::from_utf8_lossy(&bytes)))
}

/// `incomplete(bytes)`: how many at the end may be the start of a character.
fn incomplete(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let bytes = bytes(arguments, 0, context)?;
    let rest = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    // Only a start of a character lacks an end; anything else is invalid for good.
    let open = std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
    Ok(if open { rest.len() } else { 0 }.into())
}

/// Padding may be left out, and the bits that it covers don't count (WHATWG, forgiving-base64).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// `toBase64(bytes)`
fn to_base64(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let bytes = bytes(arguments, 0, context)?;
    Ok(from_text(&BASE64.encode(bytes)))
}

/// `fromBase64(text)`: undefined for what isn't base64.
fn from_base64(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = text(arguments, 0, context)?;
    match BASE64.decode(text) {
        Ok(bytes) => from_bytes(bytes, context),
        Err(_) => Ok(JsValue::undefined()),
    }
}

/// `random(length)`: at most 65,536 bytes.
fn random_bytes(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let length = arguments.get_or_undefined(0).to_u32(context)?;
    let bytes = random::bytes(length as usize)
        .map_err(|_| JsNativeError::error().with_message("the host has no random bytes"))?;
    from_bytes(bytes, context)
}

/// `log(level, message)`
fn write_log(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let level = modules::level(&text(arguments, 0, context)?).unwrap_or(log::Level::Info);
    log::write(level, &text(arguments, 1, context)?, &[]);
    Ok(JsValue::undefined())
}

/// `parseUrl(url, base)`: its parts; undefined for what is no URL.
fn parse_url(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let given = text(arguments, 0, context)?;
    let base = if arguments.get_or_undefined(1).is_undefined() {
        None
    } else {
        match Url::parse(&text(arguments, 1, context)?) {
            Ok(base) => Some(base),
            Err(_) => return Ok(JsValue::undefined()),
        }
    };
    match Url::options().base_url(base.as_ref()).parse(&given) {
        Ok(url) => parts(&url, context),
        Err(_) => Ok(JsValue::undefined()),
    }
}

/// `changeUrl(href, part, value)`: the parts after the change; a value that can't be is ignored,
/// as the standard has it.
fn change_url(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let href = text(arguments, 0, context)?;
    let part = text(arguments, 1, context)?;
    let value = text(arguments, 2, context)?;
    let mut url =
        Url::parse(&href).map_err(|error| JsNativeError::typ().with_message(error.to_string()))?;
    match part.as_str() {
        "protocol" => drop(quirks::set_protocol(&mut url, &value)),
        "username" => drop(quirks::set_username(&mut url, &value)),
        "password" => drop(quirks::set_password(&mut url, &value)),
        "host" => drop(quirks::set_host(&mut url, &value)),
        "hostname" => drop(quirks::set_hostname(&mut url, &value)),
        "port" => drop(quirks::set_port(&mut url, &value)),
        "pathname" => quirks::set_pathname(&mut url, &value),
        "search" => quirks::set_search(&mut url, &value),
        _ => quirks::set_hash(&mut url, &value),
    }
    parts(&url, context)
}

fn parts(url: &Url, context: &mut Context) -> JsResult<JsValue> {
    let parts = [
        ("href", from_text(quirks::href(url))),
        ("origin", from_text(&quirks::origin(url))),
        ("protocol", from_text(quirks::protocol(url))),
        ("username", from_text(quirks::username(url))),
        ("password", from_text(quirks::password(url))),
        ("host", from_text(quirks::host(url))),
        ("hostname", from_text(quirks::hostname(url))),
        ("port", from_text(quirks::port(url))),
        ("pathname", from_text(quirks::pathname(url))),
        ("search", from_text(quirks::search(url))),
        ("hash", from_text(quirks::hash(url))),
    ];
    Ok(record(parts, context)?.into())
}

/// `parseForm(text)`: pairs (application/x-www-form-urlencoded).
fn parse_form(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let text = text(arguments, 0, context)?;
    let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    Ok(from_fields(&pairs, context))
}

/// `writeForm(pairs)`
fn write_form(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let pairs = Values::new(context, "the pairs").fields(arguments.get_or_undefined(0), "")?;
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Ok(from_text(&text))
}

//! Values between JavaScript and the contract, mapped as componentize-js maps them: `u64` is a
//! `BigInt`, an option is undefined or null, a variant is `{tag, val}`, an enum its name,
//! `list<u8>` a `Uint8Array`, and the fields of a record are in camelCase.

use boa_engine::object::JsObject;
use boa_engine::object::builtins::{AlignedVec, JsArray, JsArrayBuffer, JsUint8Array};
use boa_engine::property::PropertyKey;
use boa_engine::{
    Context, JsBigInt, JsError, JsNativeError, JsResult, JsString, JsValue, js_string,
};

use crate::bindings::exports::usher::plugin::auth_method::{
    Answer, ClientCertificate, Credential, Login,
};
use crate::bindings::exports::usher::plugin::plugin::{Info, Need};
use crate::bindings::exports::usher::plugin::sink::{Delivery, Form};
use crate::bindings::usher::plugin::types::{Failure, FailureKind};

/// Reads values out of JavaScript; says where when one isn't what it should be.
pub(crate) struct Values<'a> {
    pub(crate) context: &'a mut Context,
    what: &'static str,
}

impl<'a> Values<'a> {
    /// `what` stands in front of each complaint: "the answer of authenticate".
    pub(crate) fn new(context: &'a mut Context, what: &'static str) -> Self {
        Self { context, what }
    }

    pub(crate) fn complain(&self, expected: &str, at: &str) -> JsError {
        let what = self.what;
        let place = if at.is_empty() { what.to_owned() } else { format!("{at} of {what}") };
        JsNativeError::typ().with_message(format!("expected {expected} for {place}")).into()
    }

    pub(crate) fn object(&self, value: &JsValue, at: &str) -> JsResult<JsObject> {
        value.as_object().ok_or_else(|| self.complain("an object", at))
    }

    pub(crate) fn get(&mut self, object: &JsObject, name: &str) -> JsResult<JsValue> {
        object.get(JsString::from(name), self.context)
    }

    pub(crate) fn text(&self, value: &JsValue, at: &str) -> JsResult<String> {
        let text = value.as_string().ok_or_else(|| self.complain("a string", at))?;
        Ok(text.to_std_string_lossy())
    }

    pub(crate) fn string(&mut self, object: &JsObject, name: &str) -> JsResult<String> {
        let value = self.get(object, name)?;
        self.text(&value, name)
    }

    pub(crate) fn optional_string(
        &mut self,
        object: &JsObject,
        name: &str,
    ) -> JsResult<Option<String>> {
        let value = self.get(object, name)?;
        if value.is_null_or_undefined() { Ok(None) } else { self.text(&value, name).map(Some) }
    }

    pub(crate) fn number(&mut self, object: &JsObject, name: &str) -> JsResult<u32> {
        let value = self.get(object, name)?;
        value.to_u32(self.context)
    }

    pub(crate) fn optional_number(
        &mut self,
        object: &JsObject,
        name: &str,
    ) -> JsResult<Option<u32>> {
        let value = self.get(object, name)?;
        if value.is_null_or_undefined() { Ok(None) } else { value.to_u32(self.context).map(Some) }
    }

    /// Bytes of a typed array, a view, or an `ArrayBuffer`.
    pub(crate) fn bytes(&mut self, value: &JsValue, at: &str) -> JsResult<Vec<u8>> {
        let object = value.as_object().ok_or_else(|| self.complain("a Uint8Array", at))?;
        let whole = JsArrayBuffer::from_object(object.clone());
        let (buffer, start, length) = if let Ok(buffer) = whole {
            (buffer, 0, None)
        } else {
            let buffer = self.get(&object, "buffer")?;
            let start = self.number(&object, "byteOffset")? as usize;
            let length = self.number(&object, "byteLength")? as usize;
            let buffer = buffer
                .as_object()
                .and_then(|buffer| JsArrayBuffer::from_object(buffer).ok())
                .ok_or_else(|| self.complain("a Uint8Array", at))?;
            (buffer, start, Some(length))
        };
        let data = buffer.data().ok_or_else(|| self.complain("a buffer with data", at))?;
        let end = length.map_or(data.len(), |length| start + length);
        data.get(start..end)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| self.complain("a Uint8Array within its buffer", at))
    }

    pub(crate) fn list<T>(
        &mut self,
        value: &JsValue,
        at: &str,
        mut convert: impl FnMut(&mut Self, &JsValue) -> JsResult<T>,
    ) -> JsResult<Vec<T>> {
        let object = value
            .as_object()
            .filter(JsObject::is_array)
            .ok_or_else(|| self.complain("an array", at))?;
        let length = self.number(&object, "length")?;
        (0..length)
            .map(|index| {
                let item = object.get(PropertyKey::from(index), self.context)?;
                convert(self, &item)
            })
            .collect()
    }

    /// Pairs of strings.
    pub(crate) fn fields(&mut self, value: &JsValue, at: &str) -> JsResult<Vec<(String, String)>> {
        self.list(value, at, |values, pair| {
            let pair = values.object(pair, at)?;
            let name = pair.get(0_u32, values.context)?;
            let value = pair.get(1_u32, values.context)?;
            Ok((values.text(&name, at)?, values.text(&value, at)?))
        })
    }

    fn fields_of(&mut self, object: &JsObject, name: &str) -> JsResult<Vec<(String, String)>> {
        let value = self.get(object, name)?;
        self.fields(&value, name)
    }
}

/// A text for JavaScript.
pub(crate) fn from_text(text: &str) -> JsValue {
    JsString::from(text).into()
}

/// Bytes as a new `Uint8Array`.
pub(crate) fn from_bytes(bytes: Vec<u8>, context: &mut Context) -> JsResult<JsValue> {
    let buffer = JsArrayBuffer::from_byte_block(AlignedVec::from_slice(0, &bytes), context)?;
    Ok(JsUint8Array::from_array_buffer(buffer, context)?.into())
}

/// A `u64` as a `BigInt`.
pub(crate) fn from_u64(number: u64) -> JsValue {
    JsBigInt::from(number).into()
}

/// An array of arrays of two strings.
pub(crate) fn from_fields(fields: &[(String, String)], context: &mut Context) -> JsValue {
    let pairs: Vec<JsValue> = fields
        .iter()
        .map(|(name, value)| {
            JsArray::from_iter([from_text(name), from_text(value)], context).into()
        })
        .collect();
    JsArray::from_iter(pairs, context).into()
}

/// A plain object.
pub(crate) fn record<const N: usize>(
    fields: [(&str, JsValue); N],
    context: &mut Context,
) -> JsResult<JsObject> {
    let object = JsObject::with_object_proto(context.intrinsics());
    for (name, value) in fields {
        object.create_data_property_or_throw(JsString::from(name), value, context)?;
    }
    Ok(object)
}

/// None is undefined.
pub(crate) fn from_option(value: Option<JsValue>) -> JsValue {
    value.unwrap_or_default()
}

pub(crate) fn from_failure(failure: &Failure, context: &mut Context) -> JsResult<JsObject> {
    let kind = match failure.kind {
        FailureKind::Config => "config",
        FailureKind::Denied => "denied",
        FailureKind::Unavailable => "unavailable",
        FailureKind::Internal => "internal",
    };
    let details = from_fields(&failure.details, context);
    record(
        [
            ("kind", from_text(kind)),
            ("code", from_text(&failure.code)),
            ("message", from_text(&failure.message)),
            ("retryAfterMs", from_option(failure.retry_after_ms.map(Into::into))),
            ("details", details),
        ],
        context,
    )
}

pub(crate) fn to_failure(value: &JsValue, values: &mut Values<'_>) -> JsResult<Failure> {
    let object = values.object(value, "")?;
    let kind = values.string(&object, "kind")?;
    Ok(Failure {
        kind: match kind.as_str() {
            "config" => FailureKind::Config,
            "denied" => FailureKind::Denied,
            "unavailable" => FailureKind::Unavailable,
            "internal" => FailureKind::Internal,
            _ => {
                return Err(values
                    .complain("\"config\", \"denied\", \"unavailable\" or \"internal\"", "kind"));
            }
        },
        code: values.string(&object, "code")?,
        message: values.string(&object, "message")?,
        retry_after_ms: values.optional_number(&object, "retryAfterMs")?,
        details: values.fields_of(&object, "details")?,
    })
}

pub(crate) fn to_info(value: &JsValue, values: &mut Values<'_>) -> JsResult<Info> {
    let object = values.object(value, "")?;
    Ok(Info {
        name: values.string(&object, "name")?,
        version: values.string(&object, "version")?,
        summary: values.string(&object, "summary")?,
        config_schema: values.string(&object, "configSchema")?,
        attributes: values.fields_of(&object, "attributes")?,
    })
}

pub(crate) fn to_needs(value: &JsValue, values: &mut Values<'_>) -> JsResult<Vec<Need>> {
    values.list(value, "", |values, need| {
        let need = values.object(need, "a need")?;
        Ok(Need {
            capability: values.string(&need, "capability")?,
            target: values.string(&need, "target")?,
        })
    })
}

pub(crate) fn to_answer(value: &JsValue, values: &mut Values<'_>) -> JsResult<Answer> {
    let object = values.object(value, "")?;
    let credential = values.get(&object, "credential")?;
    let credential = values.object(&credential, "credential")?;
    let content = values.get(&credential, "val")?;
    let credential = match values.string(&credential, "tag")?.as_str() {
        "login" => Credential::Login(to_login(&content, values)?),
        "token" => Credential::Token(values.text(&content, "credential.val")?),
        _ => return Err(values.complain("\"login\" or \"token\"", "credential.tag")),
    };
    Ok(Answer {
        credential,
        revision: values.string(&object, "revision")?,
        check_after_ms: values.optional_number(&object, "checkAfterMs")?,
    })
}

fn to_login(value: &JsValue, values: &mut Values<'_>) -> JsResult<Login> {
    let login = values.object(value, "credential.val")?;
    let certificate = values.get(&login, "certificate")?;
    let certificate = if certificate.is_null_or_undefined() {
        None
    } else {
        let certificate = values.object(&certificate, "certificate")?;
        Some(ClientCertificate {
            chain_pem: values.string(&certificate, "chainPem")?,
            key_pem: values.string(&certificate, "keyPem")?,
        })
    };
    Ok(Login {
        path: values.string(&login, "path")?,
        body: values.string(&login, "body")?,
        headers: values.fields_of(&login, "headers")?,
        certificate,
        ca_pem: values.optional_string(&login, "caPem")?,
    })
}

pub(crate) fn from_delivery(delivery: Delivery, context: &mut Context) -> JsResult<JsValue> {
    let form = match delivery.form {
        Form::Token => "token",
        Form::Wrapped => "wrapped",
        Form::Encrypted => "encrypted",
    };
    let content = from_bytes(delivery.content, context)?;
    let attributes = from_fields(&delivery.attributes, context);
    let fields = [
        ("content", content),
        ("form", from_text(form)),
        ("accessor", from_text(&delivery.accessor)),
        ("expiresAtMs", from_option(delivery.expires_at_ms.map(from_u64))),
        ("generation", from_u64(delivery.generation)),
        ("attributes", attributes),
    ];
    Ok(record(fields, context)?.into())
}

/// What an import throws for a failure, as componentize-js does: an `Error` whose `payload` is
/// the failure.
pub(crate) fn component_error(failure: &Failure, context: &mut Context) -> JsError {
    let build = |context: &mut Context| -> JsResult<JsValue> {
        let payload = from_failure(failure, context)?;
        let message = format!("{} ({}; see error.payload)", failure.message, failure.code);
        let error = JsNativeError::error().with_message(message).into_opaque(context);
        error.create_data_property_or_throw(js_string!("payload"), payload, context)?;
        error.set(js_string!("name"), js_string!("ComponentError"), true, context)?;
        Ok(error.into())
    };
    match build(context) {
        Ok(error) => JsError::from_opaque(error),
        Err(error) => error,
    }
}

//! The modules that a script may import: the contract's interfaces, by the names they have there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use boa_engine::module::{ModuleLoader, Referrer, SyntheticModuleInitializer};
use boa_engine::object::FunctionObjectBuilder;
use boa_engine::{
    Context, JsArgs, JsNativeError, JsResult, JsString, JsValue, Module, NativeFunction,
};

use crate::bindings::usher::plugin::types::Failure;
use crate::bindings::usher::plugin::{
    clock, context as call, crypto, env, files, http, kdc, log, random, server, state,
};
use crate::convert::{
    Values, component_error, from_bytes, from_failure, from_fields, from_option, from_text,
    from_u64, record,
};

/// Loads the contract's interfaces as modules, and nothing else.
#[derive(Default)]
pub(crate) struct Contract {
    loaded: RefCell<BTreeMap<String, Module>>,
}

impl Contract {
    /// Full names of what has been imported.
    pub(crate) fn imported(&self) -> Vec<String> {
        self.loaded.borrow().keys().map(|name| format!("{PACKAGE}{name}@{VERSION}")).collect()
    }

    fn find(&self, specifier: &str, context: &mut Context) -> JsResult<Module> {
        let name = specifier
            .strip_prefix(PACKAGE)
            .map(|name| name.strip_suffix(VERSION).map_or(name, |name| name.trim_end_matches('@')));
        let Some((name, functions)) = INTERFACES.iter().find(|(known, _)| Some(*known) == name)
        else {
            let names: Vec<&str> = INTERFACES.iter().map(|(name, _)| *name).collect();
            return Err(JsNativeError::typ()
                .with_message(format!(
                    "there is no module {specifier:?}; a script can import {PACKAGE}NAME@{VERSION}, where NAME is one of {}",
                    names.join(", ")
                ))
                .into());
        };
        if let Some(module) = self.loaded.borrow().get(*name) {
            return Ok(module.clone());
        }
        let module = module(functions, context);
        self.loaded.borrow_mut().insert((*name).to_owned(), module.clone());
        Ok(module)
    }
}

impl ModuleLoader for Contract {
    async fn load_imported_module(
        self: Rc<Self>,
        _referrer: Referrer,
        request: boa_engine::module::ModuleRequest,
        context: &RefCell<&mut Context>,
    ) -> JsResult<Module> {
        let specifier = request.specifier().to_std_string_lossy();
        self.find(&specifier, &mut context.borrow_mut())
    }
}

const PACKAGE: &str = "usher:plugin/";
const VERSION: &str = "0.1.0";

type Pointer = fn(&JsValue, &[JsValue], &mut Context) -> JsResult<JsValue>;
/// Name, number of parameters, and what it does.
type Function = (&'static str, usize, Pointer);

fn module(functions: &'static [Function], context: &mut Context) -> Module {
    let names: Vec<JsString> = functions.iter().map(|(name, ..)| JsString::from(*name)).collect();
    let initialize = SyntheticModuleInitializer::from_copy_closure(move |module, context| {
        for (name, parameters, pointer) in functions {
            let name = JsString::from(*name);
            let function =
                FunctionObjectBuilder::new(context.realm(), NativeFunction::from_fn_ptr(*pointer))
                    .name(name.clone())
                    .length(*parameters)
                    .build();
            module.set_export(&name, function.into())?;
        }
        Ok(())
    });
    Module::synthetic(&names, initialize, None, None, context)
}

const INTERFACES: &[(&str, &[Function])] = &[
    ("clock", &[("now", 0, |_, _, _| Ok(from_u64(clock::now())))]),
    (
        "context",
        &[
            ("identity", 0, |_, _, _| Ok(from_text(&call::identity()))),
            ("serverAddress", 0, |_, _, _| Ok(from_text(&call::server_address()))),
            ("namespace", 0, |_, _, _| Ok(from_text(&call::namespace()))),
            ("mountPath", 0, |_, _, _| Ok(from_text(&call::mount_path()))),
            ("reason", 0, |_, _, _| Ok(from_text(&call::reason()))),
            ("previousFailure", 0, previous_failure),
        ],
    ),
    (
        "crypto",
        &[("digest", 2, digest), ("hmac", 3, hmac), ("sign", 3, sign), ("generate", 1, generate)],
    ),
    ("env", &[("get", 1, get)]),
    (
        "files",
        &[
            ("read", 1, read),
            ("write", 3, write),
            ("checkWrite", 2, check_write),
            ("remove", 1, remove),
            ("removeTarget", 1, remove_target),
        ],
    ),
    ("http", &[("send", 1, send)]),
    ("kdc", &[("exchange", 3, exchange)]),
    ("log", &[("write", 3, write_log)]),
    ("random", &[("bytes", 1, bytes)]),
    ("server", &[("unwrap", 2, unwrap)]),
    ("state", &[("load", 0, load), ("save", 1, save)]),
];

/// Throws a failure, and gives a result to `convert`.
fn answer<T>(
    result: Result<T, Failure>,
    context: &mut Context,
    convert: impl FnOnce(T, &mut Context) -> JsResult<JsValue>,
) -> JsResult<JsValue> {
    match result {
        Ok(value) => convert(value, context),
        Err(failure) => Err(component_error(&failure, context)),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "as `answer` wants it")]
fn nothing((): (), _: &mut Context) -> JsResult<JsValue> {
    Ok(JsValue::undefined())
}

fn text_argument(
    arguments: &[JsValue],
    index: usize,
    what: &'static str,
    context: &mut Context,
) -> JsResult<String> {
    Values::new(context, what).text(arguments.get_or_undefined(index), "")
}

fn bytes_argument(
    arguments: &[JsValue],
    index: usize,
    what: &'static str,
    context: &mut Context,
) -> JsResult<Vec<u8>> {
    Values::new(context, what).bytes(arguments.get_or_undefined(index), "")
}

fn previous_failure(_: &JsValue, _: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    match call::previous_failure() {
        Some(failure) => Ok(from_failure(&failure, context)?.into()),
        None => Ok(JsValue::undefined()),
    }
}

fn digest(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let algorithm = text_argument(arguments, 0, "digest's algorithm", context)?;
    let data = bytes_argument(arguments, 1, "digest's data", context)?;
    answer(crypto::digest(&algorithm, &data), context, from_bytes)
}

fn hmac(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let algorithm = text_argument(arguments, 0, "hmac's algorithm", context)?;
    let key = bytes_argument(arguments, 1, "hmac's key", context)?;
    let data = bytes_argument(arguments, 2, "hmac's data", context)?;
    answer(crypto::hmac(&algorithm, &key, &data), context, from_bytes)
}

fn sign(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let algorithm = text_argument(arguments, 0, "sign's algorithm", context)?;
    let key = text_argument(arguments, 1, "sign's keyPem", context)?;
    let data = bytes_argument(arguments, 2, "sign's data", context)?;
    answer(crypto::sign(&algorithm, &key, &data), context, from_bytes)
}

fn generate(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let algorithm = text_argument(arguments, 0, "generate's algorithm", context)?;
    answer(crypto::generate(&algorithm), context, |pair, context| {
        let fields = [
            ("privatePem", from_text(&pair.private_pem)),
            ("publicPem", from_text(&pair.public_pem)),
        ];
        Ok(record(fields, context)?.into())
    })
}

fn get(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let name = text_argument(arguments, 0, "get's name", context)?;
    answer(env::get(&name), context, |value, _| Ok(from_option(value.as_deref().map(from_text))))
}

fn read(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let path = text_argument(arguments, 0, "read's path", context)?;
    answer(files::read(&path), context, from_bytes)
}

fn write(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let path = text_argument(arguments, 0, "write's path", context)?;
    let content = bytes_argument(arguments, 1, "write's content", context)?;
    let options = write_options(arguments.get_or_undefined(2), "write's options", context)?;
    answer(files::write(&path, &content, &options), context, nothing)
}

fn check_write(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let path = text_argument(arguments, 0, "checkWrite's path", context)?;
    let options = write_options(arguments.get_or_undefined(1), "checkWrite's options", context)?;
    answer(files::check_write(&path, &options), context, nothing)
}

fn write_options(
    value: &JsValue,
    what: &'static str,
    context: &mut Context,
) -> JsResult<files::WriteOptions> {
    let mut values = Values::new(context, what);
    let options = values.object(value, "")?;
    Ok(files::WriteOptions {
        mode: values.number(&options, "mode")?,
        owner: values.optional_string(&options, "owner")?,
        group: values.optional_string(&options, "group")?,
        placement: match values.string(&options, "placement")?.as_str() {
            "replace" => files::Placement::Replace,
            "in-place" => files::Placement::InPlace,
            _ => return Err(values.complain("\"replace\" or \"in-place\"", "placement")),
        },
    })
}

fn remove(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let path = text_argument(arguments, 0, "remove's path", context)?;
    answer(files::remove(&path), context, nothing)
}

fn remove_target(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let path = text_argument(arguments, 0, "removeTarget's path", context)?;
    answer(files::remove_target(&path), context, nothing)
}

fn send(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let mut values = Values::new(context, "send's request");
    let request = values.object(arguments.get_or_undefined(0), "")?;
    let headers = values.get(&request, "headers")?;
    let body = values.get(&request, "body")?;
    let tls = values.get(&request, "tls")?;
    let tls = if tls.is_null_or_undefined() {
        None
    } else {
        let tls = values.object(&tls, "tls")?;
        Some(http::Tls {
            ca_pem: values.optional_string(&tls, "caPem")?,
            certificate_pem: values.optional_string(&tls, "certificatePem")?,
            key_pem: values.optional_string(&tls, "keyPem")?,
        })
    };
    let request = http::Request {
        method: values.string(&request, "method")?,
        url: values.string(&request, "url")?,
        headers: values.fields(&headers, "headers")?,
        body: values.bytes(&body, "body")?,
        timeout_ms: values.optional_number(&request, "timeoutMs")?,
        tls,
    };
    answer(http::send(&request), context, |response, context| {
        let headers = from_fields(&response.headers, context);
        let body = from_bytes(response.body, context)?;
        let fields = [("status", response.status.into()), ("headers", headers), ("body", body)];
        Ok(record(fields, context)?.into())
    })
}

fn exchange(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let krb5_conf = text_argument(arguments, 0, "exchange's krb5Conf", context)?;
    let realm = text_argument(arguments, 1, "exchange's realm", context)?;
    let request = bytes_argument(arguments, 2, "exchange's request", context)?;
    answer(kdc::exchange(&krb5_conf, &realm, &request), context, from_bytes)
}

fn write_log(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let mut values = Values::new(context, "write's arguments");
    let level = values.text(arguments.get_or_undefined(0), "level")?;
    let level = self::level(&level).ok_or_else(|| {
        values.complain("\"error\", \"warn\", \"info\", \"debug\" or \"trace\"", "level")
    })?;
    let message = values.text(arguments.get_or_undefined(1), "message")?;
    let fields = values.fields(arguments.get_or_undefined(2), "fields")?;
    log::write(level, &message, &fields);
    Ok(JsValue::undefined())
}

/// A level by the contract's name.
pub(crate) fn level(name: &str) -> Option<log::Level> {
    Some(match name {
        "error" => log::Level::Error,
        "warn" => log::Level::Warn,
        "info" => log::Level::Info,
        "debug" => log::Level::Debug,
        "trace" => log::Level::Trace,
        _ => return None,
    })
}

fn bytes(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let length = arguments.get_or_undefined(0).to_u32(context)?;
    from_bytes(random::bytes(length), context)
}

fn unwrap(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let token = text_argument(arguments, 0, "unwrap's token", context)?;
    let creation_path = if arguments.get_or_undefined(1).is_null_or_undefined() {
        None
    } else {
        Some(text_argument(arguments, 1, "unwrap's creationPath", context)?)
    };
    answer(server::unwrap(&token, creation_path.as_deref()), context, |answer, _| {
        Ok(from_text(&answer))
    })
}

fn load(_: &JsValue, _: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    from_bytes(state::load(), context)
}

fn save(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let value = bytes_argument(arguments, 0, "save's value", context)?;
    answer(state::save(&value), context, nothing)
}

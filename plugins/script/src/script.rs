//! One script: parsed, its imports linked, its top level run, ready to be called.

use std::path::Path;
use std::rc::Rc;

use boa_engine::builtins::promise::PromiseState;
use boa_engine::object::JsObject;
use boa_engine::object::builtins::JsPromise;
use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsString, JsValue, Module, Source, js_string,
};

use crate::bindings::usher::plugin::types::Failure;
use crate::bindings::usher::script::source;
use crate::error::{failure, with_end};
use crate::modules::Contract;
use crate::prepared::Prepared;

/// A script whose top level has run.
pub(crate) struct Script {
    context: Context,
    contract: Rc<Contract>,
    exports: JsObject,
    name: String,
}

/// An interface that a script exports: its name in JavaScript, its functions, and the name that
/// a script may use instead.
pub(crate) struct Interface {
    pub(crate) name: &'static str,
    pub(crate) full_name: &'static str,
    pub(crate) functions: &'static [&'static str],
}

/// Exported by every script.
pub(crate) const PLUGIN: Interface = Interface {
    name: "plugin",
    full_name: "usher:plugin/plugin@0.1.0",
    functions: &["describe", "prepare"],
};

/// Exported by a method.
pub(crate) const AUTH_METHOD: Interface = Interface {
    name: "authMethod",
    full_name: "usher:plugin/auth-method@0.1.0",
    functions: &["authenticate", "authenticated"],
};

/// Exported by a sink.
pub(crate) const SINK: Interface = Interface {
    name: "sink",
    full_name: "usher:plugin/sink@0.1.0",
    functions: &["check", "deliver", "withdraw"],
};

impl Script {
    /// The script of this instance, its top level run. It is never freed: the instance ends with
    /// the call, and the engine would take longer to take itself apart than most calls take.
    pub(crate) fn load() -> Result<&'static mut Self, Failure> {
        let name = source::name();
        let Prepared { mut context, contract } = Prepared::take();
        match evaluate(&name, &mut context) {
            Ok(exports) => Ok(Box::leak(Box::new(Self { context, contract, exports, name }))),
            Err(error) => {
                let failure = failure(&error, &name, &mut context);
                std::mem::forget(context);
                Err(failure)
            }
        }
    }

    /// Calls an exported function and converts what it returns, awaited if it is a promise.
    pub(crate) fn call<T>(
        &mut self,
        interface: &Interface,
        function: &str,
        arguments: impl FnOnce(&mut Context) -> JsResult<Vec<JsValue>>,
        convert: impl FnOnce(&JsValue, &mut Context) -> JsResult<T>,
    ) -> Result<T, Failure> {
        let called = self.call_function(interface, function, arguments);
        let converted = called.and_then(|value| convert(&value, &mut self.context));
        converted.map_err(|error| failure(&error, &self.name, &mut self.context))
    }

    fn call_function(
        &mut self,
        interface: &Interface,
        function: &str,
        arguments: impl FnOnce(&mut Context) -> JsResult<Vec<JsValue>>,
    ) -> JsResult<JsValue> {
        let context = &mut self.context;
        let exported = exported(&self.exports, interface, context)?
            .ok_or_else(|| type_error(missing(interface, function)))?;
        let callable = exported
            .get(js_string!(function), context)?
            .as_callable()
            .ok_or_else(|| type_error(missing(interface, function)))?;
        let arguments = arguments(context)?;
        let value = callable.call(&exported.into(), &arguments, context)?;
        settle(value, context)
    }

    /// "auth-method" or "sink", as the script exports one of them, whole.
    pub(crate) fn kind(&mut self) -> Result<&'static str, Failure> {
        let kind = self.exported_kind();
        kind.map_err(|error| failure(&error, &self.name, &mut self.context))
    }

    fn exported_kind(&mut self) -> JsResult<&'static str> {
        let (exports, context) = (&self.exports, &mut self.context);
        let method = exported(exports, &AUTH_METHOD, context)?;
        let sink = exported(exports, &SINK, context)?;
        let (interface, object, kind) = match (method, sink) {
            (Some(method), None) => (&AUTH_METHOD, method, "auth-method"),
            (None, Some(sink)) => (&SINK, sink, "sink"),
            (Some(_), Some(_)) => {
                return Err(type_error(
                    "it exports both authMethod and sink; write one file for each".to_owned(),
                ));
            }
            (None, None) => {
                return Err(type_error(
                    "it exports neither authMethod nor sink; write `export const authMethod = {…}` or `export const sink = {…}`"
                        .to_owned(),
                ));
            }
        };
        let plugin = exported(exports, &PLUGIN, context)?
            .ok_or_else(|| type_error(missing(&PLUGIN, "describe")))?;
        for (interface, object) in [(&PLUGIN, plugin), (interface, object)] {
            for function in interface.functions {
                if object.get(js_string!(*function), context)?.as_callable().is_none() {
                    return Err(type_error(missing(interface, function)));
                }
            }
        }
        Ok(kind)
    }

    /// Names of the contract's interfaces that the script imports.
    pub(crate) fn imports(&self) -> Vec<String> {
        self.contract.imported()
    }
}

fn evaluate(name: &str, context: &mut Context) -> JsResult<JsObject> {
    let text = source::text();
    let module = Module::parse(
        Source::from_bytes(text.as_bytes()).with_path(Path::new(name)),
        None,
        context,
    )
    .map_err(|error| with_end(error, &text))?;
    let evaluated = module.load_link_evaluate(context);
    settle(evaluated.into(), context)?;
    Ok(module.namespace(context))
}

/// The value behind a promise. A script has nothing to wait for: when no job is left, a promise
/// that is pending stays so.
fn settle(value: JsValue, context: &mut Context) -> JsResult<JsValue> {
    let promise = value.as_object().and_then(|object| JsPromise::from_object(object).ok());
    context.run_jobs()?;
    let Some(promise) = promise else { return Ok(value) };
    match promise.state() {
        PromiseState::Fulfilled(value) => Ok(value),
        PromiseState::Rejected(reason) => Err(JsError::from_opaque(reason)),
        PromiseState::Pending => {
            Err(type_error("it awaits a promise that nothing will ever settle".to_owned()))
        }
    }
}

fn exported(
    exports: &JsObject,
    interface: &Interface,
    context: &mut Context,
) -> JsResult<Option<JsObject>> {
    for name in [interface.name, interface.full_name] {
        if let Some(object) = exports.get(JsString::from(name), context)?.as_object() {
            return Ok(Some(object));
        }
    }
    Ok(None)
}

fn missing(interface: &Interface, function: &str) -> String {
    format!("it doesn't export the function {}.{function}", interface.name)
}

fn type_error(message: String) -> JsError {
    JsNativeError::typ().with_message(message).into()
}

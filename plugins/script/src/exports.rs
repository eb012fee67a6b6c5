//! What the component exports: each function loads the script and calls its own.

use boa_engine::{Context, JsResult, JsValue};

use crate::bindings::Component;
use crate::bindings::exports::usher::plugin::auth_method::{self, Answer};
use crate::bindings::exports::usher::plugin::plugin::{self, Info, Need};
use crate::bindings::exports::usher::plugin::sink::{self, Delivery};
use crate::bindings::usher::plugin::types::Failure;
use crate::bindings::usher::script::source;
use crate::convert::{Values, from_delivery, from_text, to_answer, to_info, to_needs};
use crate::script::{AUTH_METHOD, Interface, PLUGIN, SINK, Script};

impl plugin::Guest for Component {
    fn describe() -> Info {
        match describe() {
            Ok(info) => info,
            Err(failure) => {
                source::fail(&failure.code, &failure.message);
                unreachable!("the host ends the call")
            }
        }
    }

    fn prepare(config: String) -> Result<Vec<Need>, Failure> {
        call(&PLUGIN, "prepare", &config, |value, context| {
            to_needs(value, &mut Values::new(context, "the answer of plugin.prepare"))
        })
    }
}

/// What the script says of itself, and what only its exports and imports tell.
fn describe() -> Result<Info, Failure> {
    let script = Script::load()?;
    let kind = script.kind()?;
    let mut info = script.call(
        &PLUGIN,
        "describe",
        |_| Ok(Vec::new()),
        |value, context| to_info(value, &mut Values::new(context, "the answer of plugin.describe")),
    )?;
    info.attributes.retain(|(name, _)| name != "kind" && name != "import");
    info.attributes.push(("kind".to_owned(), kind.to_owned()));
    info.attributes
        .extend(script.imports().into_iter().map(|import| ("import".to_owned(), import)));
    Ok(info)
}

impl auth_method::Guest for Component {
    fn authenticate(config: String) -> Result<Answer, Failure> {
        call(&AUTH_METHOD, "authenticate", &config, |value, context| {
            to_answer(value, &mut Values::new(context, "the answer of authMethod.authenticate"))
        })
    }

    fn authenticated(config: String) -> Result<(), Failure> {
        call(&AUTH_METHOD, "authenticated", &config, |_, _| Ok(()))
    }
}

impl sink::Guest for Component {
    fn check(config: String) -> Result<(), Failure> {
        call(&SINK, "check", &config, |_, _| Ok(()))
    }

    fn deliver(config: String, delivery: Delivery) -> Result<(), Failure> {
        Script::load()?.call(
            &SINK,
            "deliver",
            |context| Ok(vec![from_text(&config), from_delivery(delivery, context)?]),
            |_, _| Ok(()),
        )
    }

    fn withdraw(config: String) -> Result<(), Failure> {
        call(&SINK, "withdraw", &config, |_, _| Ok(()))
    }
}

fn call<T>(
    interface: &Interface,
    function: &str,
    config: &str,
    convert: impl FnOnce(&JsValue, &mut Context) -> JsResult<T>,
) -> Result<T, Failure> {
    Script::load()?.call(interface, function, |_| Ok(vec![from_text(config)]), convert)
}

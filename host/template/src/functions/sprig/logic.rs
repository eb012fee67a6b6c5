//! Defaults, choices and types.

use crate::compare::deep_equal;
use crate::function::Kind::{Any, Bool, Text};
use crate::function::{Function, fixed, variadic};
use crate::value::{Str, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    variadic("sprig_default", &[Any, Any], |_, arguments| {
        let given = arguments.any(1);
        Ok(if given.truth() { given.clone() } else { arguments.any(0).clone() })
    }),
    fixed("sprig_empty", &[Any], |_, arguments| Ok(Value::Bool(!arguments.any(0).truth()))),
    variadic("sprig_coalesce", &[Any], |_, arguments| {
        Ok(arguments.0.iter().find(|value| value.truth()).cloned().unwrap_or(Value::Nil))
    }),
    variadic("sprig_all", &[Any], |_, arguments| {
        Ok(Value::Bool(arguments.0.iter().all(Value::truth)))
    }),
    variadic("sprig_any", &[Any], |_, arguments| {
        Ok(Value::Bool(arguments.0.iter().any(Value::truth)))
    }),
    fixed("sprig_ternary", &[Any, Any, Bool], |_, arguments| {
        Ok(arguments.any(usize::from(!arguments.bool(2))).clone())
    }),
    fixed("sprig_fail", &[Text], |_, arguments| Err(arguments.shown(0).into_owned())),
    fixed("sprig_typeOf", &[Any], |_, arguments| Ok(Value::string(arguments.any(0).type_name()))),
    fixed("sprig_kindOf", &[Any], |_, arguments| Ok(Value::string(arguments.any(0).kind()))),
    fixed("sprig_typeIs", &[Text, Any], |_, arguments| {
        Ok(Value::Bool(arguments.text(0) == arguments.any(1).type_name()))
    }),
    fixed("sprig_typeIsLike", &[Text, Any], |_, arguments| {
        let name = arguments.any(1).type_name();
        let wanted = arguments.text(0);
        Ok(Value::Bool(wanted == name || name.strip_prefix('*') == Some(&*wanted)))
    }),
    fixed("sprig_kindIs", &[Text, Any], |_, arguments| {
        Ok(Value::Bool(arguments.text(0) == arguments.any(1).kind()))
    }),
    fixed("sprig_deepEqual", &[Any, Any], |evaluator, arguments| {
        let meter = &mut evaluator.meter;
        deep_equal(arguments.any(0), arguments.any(1), meter).map(Value::Bool)
    }),
    fixed("sprig_hello", &[], |_, _| Ok(Value::string(Str::from("Hello!")))),
];

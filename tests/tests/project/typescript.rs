//! The types for editors, made from the contract: `sdk/js/usher.d.ts` is what `wit/` says.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fmt::Write as _;
use std::path::Path;

use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner,
};

const FILE: &str = "../sdk/js/usher.d.ts";

const HEAD: &str = "\
// The plug-in contract for editors and tsc, as scripts and componentize-js see it.
// Made from wit/: `USHER_WRITE_DOCS=1 cargo test --release --workspace --test project typescript`
// writes it anew.
";

/// Thrown by the functions of the imported modules.
const COMPONENT_ERROR: &str = "
/** What a function of an imported module throws: an `Error` with the failure in `payload`. */
interface ComponentError extends Error {
  payload: import('usher:plugin/types@0.1.0').Failure;
}
";

#[test]
fn the_types_for_editors_are_what_the_contract_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolve = Resolve::default();
    resolve.push_dir(directory.join("../wit")).expect("the contract");
    let text = declarations(&resolve);
    let file = directory.join(FILE);
    if std::env::var_os("USHER_WRITE_DOCS").is_some() {
        std::fs::write(&file, &text).expect("the types");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "sdk/js/usher.d.ts is out of date; USHER_WRITE_DOCS=1 cargo test --release --workspace --test project typescript writes it"
    );
}

fn declarations(resolve: &Resolve) -> String {
    let exported = |id: InterfaceId| {
        resolve.worlds.iter().any(|(_, world)| {
            world.exports.values().any(
                |item| matches!(item, wit_parser::WorldItem::Interface { id: found, .. } if *found == id),
            )
        })
    };
    let mut interfaces: Vec<_> = resolve.interfaces.iter().collect();
    interfaces.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    let mut text = HEAD.to_owned() + COMPONENT_ERROR;
    for (id, interface) in interfaces {
        text.push('\n');
        document(&mut text, "", &interface.docs, &[]);
        let _ = writeln!(text, "declare module '{}' {{", module(resolve, id));
        imports(&mut text, resolve, interface, id);
        for ty in interface.types.values() {
            define(&mut text, resolve, *ty, id);
        }
        functions(&mut text, resolve, interface, exported(id));
        text.push_str("}\n");
    }
    text
}

fn module(resolve: &Resolve, id: InterfaceId) -> String {
    resolve.id_of(id).expect("an interface with a name")
}

/// The interface that a type comes from, if it is another.
fn origin(resolve: &Resolve, ty: TypeId, own: InterfaceId) -> Option<InterfaceId> {
    let TypeDefKind::Type(Type::Id(original)) = resolve.types[ty].kind else { return None };
    match resolve.types[original].owner {
        TypeOwner::Interface(id) if id != own => Some(id),
        _ => None,
    }
}

fn imports(text: &mut String, resolve: &Resolve, interface: &Interface, id: InterfaceId) {
    let mut names: Vec<(InterfaceId, String)> = Vec::new();
    for (name, ty) in &interface.types {
        if let Some(from) = origin(resolve, *ty, id) {
            names.push((from, pascal(name)));
        }
    }
    let Some((from, _)) = names.first() else { return };
    let from = module(resolve, *from);
    let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
    let _ = writeln!(text, "  import type {{ {} }} from '{from}';", names.join(", "));
}

fn define(text: &mut String, resolve: &Resolve, id: TypeId, own: InterfaceId) {
    if origin(resolve, id, own).is_some() {
        return;
    }
    let definition = &resolve.types[id];
    let name = pascal(definition.name.as_deref().expect("a name"));
    text.push('\n');
    document(text, "  ", &definition.docs, &[]);
    match &definition.kind {
        TypeDefKind::Record(record) => {
            let _ = writeln!(text, "  export interface {name} {{");
            for field in &record.fields {
                document(text, "    ", &field.docs, &[]);
                let _ = writeln!(text, "    {};", member(resolve, &field.name, &field.ty));
            }
            text.push_str("  }\n");
        }
        TypeDefKind::Enum(cases) => {
            let _ = write!(text, "  export type {name} =");
            for case in &cases.cases {
                text.push('\n');
                document(text, "    ", &case.docs, &[]);
                let _ = write!(text, "    | '{}'", case.name);
            }
            text.push_str(";\n");
        }
        TypeDefKind::Variant(variant) => {
            let _ = write!(text, "  export type {name} =");
            for case in &variant.cases {
                let value = case.ty.as_ref().map(|ty| written(resolve, ty)).unwrap_or_default();
                text.push('\n');
                document(text, "    ", &case.docs, &[]);
                let _ = write!(text, "    | {{ tag: '{}'; val: {value} }}", case.name);
            }
            text.push_str(";\n");
        }
        kind => {
            let _ = writeln!(text, "  export type {name} = {};", kind_written(resolve, kind));
        }
    }
}

/// Functions to import; or, of an interface that a plug-in exports, the members of one type.
fn functions(text: &mut String, resolve: &Resolve, interface: &Interface, exported: bool) {
    if interface.functions.is_empty() {
        return;
    }
    text.push('\n');
    let name = pascal(interface.name.as_deref().expect("a name"));
    if exported {
        document(text, "  ", &interface.docs, &[]);
        let _ = writeln!(text, "  export interface {name} {{");
    }
    let indent = if exported { "    " } else { "  " };
    let start = if exported { "" } else { "export function " };
    for function in interface.functions.values() {
        let fails = if exported { "{Failure}" } else { "{ComponentError}" };
        let (result, throws) = match result(resolve, function) {
            (result, true) => (result, vec![format!("@throws {fails}")]),
            (result, false) => (result, Vec::new()),
        };
        document(text, indent, &function.docs, &throws);
        let parameters: Vec<String> = function
            .params
            .iter()
            .map(|parameter| member(resolve, &parameter.name, &parameter.ty))
            .collect();
        let name = camel(&function.name);
        let _ = writeln!(text, "{indent}{start}{name}({}): {result};", parameters.join(", "));
    }
    if exported {
        text.push_str("  }\n");
    }
}

/// What a function returns, and whether it may throw instead.
fn result(resolve: &Resolve, function: &Function) -> (String, bool) {
    let Some(ty) = &function.result else { return ("void".to_owned(), false) };
    if let Type::Id(id) = ty
        && let TypeDefKind::Result(result) = &resolve.types[*id].kind
    {
        let value = result.ok.as_ref().map_or("void".to_owned(), |ty| written(resolve, ty));
        return (value, true);
    }
    (written(resolve, ty), false)
}

/// `name: type`, or `name?: type` of an option.
fn member(resolve: &Resolve, name: &str, ty: &Type) -> String {
    if let Type::Id(id) = ty
        && let TypeDefKind::Option(inner) = &resolve.types[*id].kind
    {
        return format!("{}?: {}", camel(name), written(resolve, inner));
    }
    format!("{}: {}", camel(name), written(resolve, ty))
}

fn written(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::String => "string".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::U64 | Type::S64 => "bigint".to_owned(),
        Type::Id(id) => match &resolve.types[*id] {
            definition if definition.name.is_some() => {
                pascal(definition.name.as_deref().expect("a name"))
            }
            definition => kind_written(resolve, &definition.kind),
        },
        _ => "number".to_owned(),
    }
}

fn kind_written(resolve: &Resolve, kind: &TypeDefKind) -> String {
    match kind {
        TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
        TypeDefKind::List(item) => format!("{}[]", written(resolve, item)),
        TypeDefKind::Option(inner) => format!("{} | undefined", written(resolve, inner)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(|ty| written(resolve, ty)).collect();
            format!("[{}]", types.join(", "))
        }
        TypeDefKind::Type(ty) => written(resolve, ty),
        kind => panic!("the contract has a {} now: say what it is in TypeScript", kind.as_str()),
    }
}

fn document(text: &mut String, indent: &str, docs: &Docs, more: &[String]) {
    let mut lines: Vec<&str> = docs.contents.iter().flat_map(|docs| docs.lines()).collect();
    lines.extend(more.iter().map(String::as_str));
    match lines.as_slice() {
        [] => {}
        [line] => {
            let _ = writeln!(text, "{indent}/** {line} */");
        }
        lines => {
            let _ = writeln!(text, "{indent}/**");
            for line in lines {
                let _ = writeln!(text, "{}", format!("{indent} * {line}").trim_end());
            }
            let _ = writeln!(text, "{indent} */");
        }
    }
}

fn camel(name: &str) -> String {
    let pascal = pascal(name);
    let (first, rest) = pascal.split_at(1);
    first.to_lowercase() + rest
}

fn pascal(name: &str) -> String {
    name.split('-')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        })
        .collect()
}

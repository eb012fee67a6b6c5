//! Reads `auto_auth` and `identity`: the method in each of its forms, the sinks, and what must hold among them.

use std::time::Duration;

use usher_address::{Malformed, MountPath, Namespace};

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Located, Nested, Report};
use crate::schema::{self, built_ins};
use crate::settings::{Identity, Method, OnExit, PluginConfig, Sink, SinkOnExit, TokenCheck};
use crate::typed_block::{config_location, declared_kind, kind, merged_config, unlabelled};
use crate::variables::Environment;
use crate::{encryption, file_sink};

/// The identity of `auto_auth`.
pub(crate) const DEFAULT_NAME: &str = "default";
const DEFAULT_MIN_BACKOFF: Duration = Duration::from_secs(1);
const DEFAULT_MAX_BACKOFF: Duration = Duration::from_mins(5);

/// What differs between `auto_auth` and `identity`: their names, and what unknown keys do.
struct Form {
    block: &'static schema::Block,
    method: &'static schema::Block,
    sinks: &'static schema::Block,
    sink: &'static schema::Block,
}

static AUTO_AUTH: Form = Form {
    block: &schema::AUTO_AUTH,
    method: &schema::METHOD,
    sinks: &schema::SINKS,
    sink: &schema::SINK,
};

static IDENTITY: Form = Form {
    block: &schema::IDENTITY,
    method: &schema::IDENTITY_METHOD,
    sinks: &schema::IDENTITY_SINKS,
    sink: &schema::IDENTITY_SINK,
};

/// The identity of an `auto_auth` block. It may lack a sink.
pub(crate) fn auto_auth(
    block: &Nested<'_>,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Option<Identity> {
    Reader { form: &AUTO_AUTH, environment }.identity(DEFAULT_NAME, block, report)
}

/// Somebody must take the token. `listens`: a listener could.
pub(crate) fn check_sinks(identity: &Identity, kind: &str, listens: bool, report: &mut Report) {
    // With a wrap_ttl it is said there.
    if identity.sinks.is_empty() && identity.method.wrap_ttl.is_none() {
        let lend = match (listens, kind) {
            (false, _) => String::new(),
            (true, "auto_auth") => {
                ", or have the listener lend the token: api_proxy { use_auto_auth_token = true }"
                    .to_owned()
            }
            (true, _) => format!(
                ", or have a listener lend the token: api_proxy {{ use_auto_auth_token = true }}, and identity = \"{}\" in the listener",
                identity.name
            ),
        };
        report.push(Diagnostic::new_error(
            format!("{kind}.sink"),
            format!("`{kind}` has no sink, so nobody would get the token"),
            format!("write sink \"file\" {{ config {{ path = \"…\" }} }} in it{lend}"),
            Some(&identity.location),
        ));
    }
}

/// The `identity` blocks of a file, which may lack sinks; those with problems are left out, and the second says whether
/// there are such.
pub(crate) fn identities(
    file: &Fields<'_>,
    environment: &Environment<'_>,
    report: &mut Report,
) -> (Vec<Identity>, bool) {
    let reader = Reader { form: &IDENTITY, environment };
    let before = report.iter().filter(|problem| problem.is_error()).count();
    let mut identities = Vec::new();
    for (name, block) in file.named_blocks("identity", &schema::IDENTITY, report) {
        check_name(&name, block.location, report);
        if let Some(identity) = reader.identity(&name, &block, report) {
            identities.push(identity);
        }
    }
    let broken = report.iter().filter(|problem| problem.is_error()).count() > before;
    (identities, broken)
}

/// A name stands in metrics, logs and the status.
fn check_name(name: &str, location: &Location, report: &mut Report) {
    if name == DEFAULT_NAME {
        report.push(Diagnostic::new_error(
            "identity.name",
            format!("\"{DEFAULT_NAME}\" is the identity of `auto_auth`"),
            "give this identity another name",
            Some(location),
        ));
    } else if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        report.push(Diagnostic::new_error(
            "identity.name",
            "the name of an identity holds no blanks",
            "write identity \"NAME\" { … }",
            Some(location),
        ));
    }
}

struct Reader<'a> {
    form: &'static Form,
    environment: &'a Environment<'a>,
}

impl Reader<'_> {
    fn identity(&self, name: &str, block: &Nested<'_>, report: &mut Report) -> Option<Identity> {
        let kind = self.form.block.name;
        let fields = Fields::of(block.object, self.form.block, report);
        let methods = fields.blocks("method", report);
        if let [first, second, ..] = methods.as_slice() {
            report.push(Diagnostic::new_error(
                format!("{kind}.method"),
                format!("a second method; the first is at {}", first.location),
                format!("one `{kind}` block has one method"),
                Some(second.location),
            ));
        }
        if methods.is_empty() {
            report.push(Diagnostic::new_error(
                format!("{kind}.method"),
                format!("`{kind}` has no method"),
                "write method \"approle\" { config { … } } in it",
                Some(block.location),
            ));
        }
        let method = methods.first().and_then(|nested| self.method(nested, report));
        let nested_sinks = self.nested_sinks(&fields, report);
        let sinks: Vec<Sink> =
            nested_sinks.iter().filter_map(|nested| self.sink(nested, report)).collect();
        if let Some(method) = &method
            && sinks.len() == nested_sinks.len()
        {
            check_wrapping(method, &sinks, methods.first(), report);
        }
        // A sink that was left out for its problems is no missing sink.
        if sinks.is_empty() && !nested_sinks.is_empty() {
            return None;
        }
        let token_check_interval = token_check(&fields, report);
        let on_exit = match fields.choice("on_exit", &["keep", "revoke"], report) {
            Some(1) => OnExit::Revoke,
            _ => OnExit::Keep,
        };
        let enable_reauth_on_new_credentials =
            fields.strict_boolean("enable_reauth_on_new_credentials", report);
        Some(Identity {
            name: name.to_owned(),
            method: method?,
            sinks,
            token_check_interval,
            on_exit,
            enable_reauth_on_new_credentials,
            location: block.location.clone(),
        })
    }

    fn nested_sinks<'b>(&self, fields: &Fields<'b>, report: &mut Report) -> Vec<Nested<'b>> {
        let mut sinks = fields.blocks("sink", report);
        for list in fields.blocks("sinks", report) {
            // {"sinks": [{"type": "file"}]} holds the sink itself.
            if list.object.items.iter().any(|item| item.key.text.eq_ignore_ascii_case("type")) {
                sinks.push(list);
            } else {
                let fields = Fields::of(list.object, self.form.sinks, report);
                sinks.extend(fields.blocks("sink", report));
            }
        }
        sinks
    }

    fn method(&self, nested: &Nested<'_>, report: &mut Report) -> Option<Method> {
        let nested = &unlabelled(nested, "method", self.form.method, report);
        let settings = || built_ins::settings(built_ins::METHODS, &declared_kind(nested));
        let fields = Fields::around_settings(nested.object, self.form.method, &settings, report);
        let kind = kind(&fields, nested, "method", "approle", report);
        if kind.as_deref() == Some("pcf") {
            report.push(Diagnostic::new_warning(
                "method.pcf",
                "`pcf` is the old name of the method `cf`",
                "write method \"cf\" { … }, with mount_path = \"auth/pcf\" if it is mounted there",
                Some(nested.location),
            ));
        }
        let mount_path = mount_path(&fields, kind.as_deref(), nested.location, report);
        let namespace =
            fields.string("namespace", report).filter(|text| !text.value.trim().is_empty());
        let (min_backoff, max_backoff) = backoff(&fields, report);
        let exit_on_err = fields.strict_boolean("exit_on_err", report).unwrap_or(false);
        let config = merged_config(&fields, report);
        let config =
            PluginConfig::new(&config, config_location(&fields, nested.location), self.form.method);
        Some(Method {
            kind: kind?,
            mount_path: mount_path?,
            names_namespace: namespace.is_some(),
            namespace: namespace.map(|text| method_namespace(&text, report)).unwrap_or_default(),
            min_backoff,
            max_backoff,
            exit_on_err,
            wrap_ttl: wrap_ttl(&fields, report),
            config,
            location: nested.location.clone(),
        })
    }

    fn sink(&self, nested: &Nested<'_>, report: &mut Report) -> Option<Sink> {
        let nested = &unlabelled(nested, "sink", self.form.sink, report);
        let settings = || built_ins::settings(built_ins::SINKS, &declared_kind(nested));
        let fields = Fields::around_settings(nested.object, self.form.sink, &settings, report);
        let kind = kind(&fields, nested, "sink", "file", report);
        let config_object = merged_config(&fields, report);
        if kind.as_deref() == Some("file") {
            file_sink::check_mode(&config_object, report);
        }
        let on_exit = match fields.choice("on_exit", &["keep", "remove"], report) {
            Some(1) => SinkOnExit::Remove,
            _ => SinkOnExit::Keep,
        };
        let place = config_location(&fields, nested.location);
        let config = PluginConfig::new(&config_object, place, self.form.sink);
        Some(Sink {
            wrap_ttl: wrap_ttl(&fields, report),
            encryption: encryption::read(&fields, nested.location, self.environment, report),
            on_exit,
            kind: kind?,
            config,
            location: nested.location.clone(),
        })
    }
}

/// Default `auth/<kind>`, which also stands in for one that is wrong.
fn mount_path(
    fields: &Fields<'_>,
    kind: Option<&str>,
    method: &Location,
    report: &mut Report,
) -> Option<MountPath> {
    let written = fields.string("mount_path", report);
    let mut wrong = |message: String, help: &str, place: &Location| {
        report.push(Diagnostic::new_error("method.mount_path", message, help, Some(place)));
    };
    if let Some(path) = written.filter(|path| !path.value.is_empty()) {
        match MountPath::parse(&path.value) {
            Ok(path) => return Some(path),
            Err(_) if path.value.trim_matches('/').is_empty() => wrong(
                "`mount_path` names no path".to_owned(),
                "write mount_path = \"auth/approle\", or leave it out",
                &path.location,
            ),
            Err(why) => wrong(why.what.into_owned(), &why.remedy, &path.location),
        }
    }
    MountPath::of_method(kind?)
        .map_err(|why| wrong(why.what.into_owned(), &why.remedy, method))
        .ok()
}

/// The root stands in for one that is wrong.
fn method_namespace(written: &Located<String>, report: &mut Report) -> Namespace {
    Namespace::parse(&written.value).unwrap_or_else(|why| {
        let Malformed { what, remedy } = why;
        let place = Some(&written.location);
        report.push(Diagnostic::new_error("method.namespace", what, remedy, place));
        Namespace::default()
    })
}

/// A wrapped token can't be wrapped again, and only one reader can unwrap it.
fn check_wrapping(
    method: &Method,
    sinks: &[Sink],
    nested: Option<&Nested<'_>>,
    report: &mut Report,
) {
    if method.wrap_ttl.is_none() {
        return;
    }
    let place = nested.and_then(|nested| {
        let items = &nested.object.items;
        items.iter().rfind(|item| item.key.text.eq_ignore_ascii_case("wrap_ttl"))
    });
    let place = place.map_or(&method.location, |item| &item.key.location);
    let (message, help) = match sinks {
        [sink] if sink.wrap_ttl.is_none() => return,
        [sink] => (
            format!(
                "`wrap_ttl` of the method and `wrap_ttl` of its sink at {} exclude each other",
                sink.location
            ),
            "keep one: in the method the server wraps the login, in the sink the agent goes on renewing the token",
        ),
        [] => (
            "`wrap_ttl` of the method wraps the login for a sink, and there is none".to_owned(),
            "write one sink, or take `wrap_ttl` out of the method",
        ),
        _ => (
            format!("`wrap_ttl` of the method allows one sink, and there are {}", sinks.len()),
            "keep one sink, or set wrap_ttl in each sink instead",
        ),
    };
    report.push(Diagnostic::new_error("method.wrap_ttl", message, help, Some(place)));
}

fn token_check(fields: &Fields<'_>, report: &mut Report) -> TokenCheck {
    const KEY: &str = "token_check_interval";
    let is_auto = |text: &Located<String>| text.value.eq_ignore_ascii_case("auto");
    if fields.string(KEY, &mut Report::new()).is_some_and(|text| is_auto(&text)) {
        return TokenCheck::Auto;
    }
    match fields.duration(KEY, report).map(|interval| interval.value) {
        None => TokenCheck::Auto,
        Some(Duration::ZERO) => TokenCheck::Off,
        Some(interval) => TokenCheck::Every(interval),
    }
}

/// Zero counts as not set.
fn wrap_ttl(fields: &Fields<'_>, report: &mut Report) -> Option<Duration> {
    fields.duration("wrap_ttl", report).map(|ttl| ttl.value).filter(|ttl| !ttl.is_zero())
}

/// What isn't positive counts as not set.
fn backoff(fields: &Fields<'_>, report: &mut Report) -> (Duration, Duration) {
    let min = fields.duration("min_backoff", report);
    let max = fields.duration("max_backoff", report);
    let or = |value: &Option<Located<Duration>>, default: Duration| {
        value.as_ref().map(|value| value.value).filter(|value| !value.is_zero()).unwrap_or(default)
    };
    let (shortest, longest) = (or(&min, DEFAULT_MIN_BACKOFF), or(&max, DEFAULT_MAX_BACKOFF));
    if shortest >= longest {
        report.push(Diagnostic::new_error(
            "method.backoff",
            format!("`min_backoff` ({shortest:?}) is not less than `max_backoff` ({longest:?})"),
            "make max_backoff the larger one; the defaults are 1s and 5m",
            min.or(max).map(|value| value.location).as_ref(),
        ));
    }
    (shortest, longest)
}

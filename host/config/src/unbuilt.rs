//! Reads what isn't built yet (proxy, cache, templates, process supervisor), so that what the
//! incumbents refuse is invalid and what they take is only unsupported.

use std::time::Duration;

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Nested, Report, holds_names, names_within};
use crate::judge::{TokenUse, judge};
use crate::schema;

/// Keys that only a template with a file of its own has.
const FILE_ONLY: [&str; 13] = [
    "backup",
    "command",
    "command_timeout",
    "create_dest_dirs",
    "destination",
    "exec",
    "gid",
    "group",
    "perms",
    "sandbox_path",
    "uid",
    "user",
    "wait",
];
const SHORTEST_RELOAD: Duration = Duration::from_secs(5);

/// What the rules over a whole configuration ask for.
#[derive(Default)]
pub(crate) struct Unbuilt {
    pub(crate) listeners: usize,
    pub(crate) templates: Vec<Location>,
    pub(crate) env_templates: Vec<(String, Location)>,
    pub(crate) cache: Option<TokenBlock>,
    pub(crate) api_proxy: Option<TokenBlock>,
    pub(crate) exec: Option<Location>,
    pub(crate) template_config: Option<Location>,
}

/// `cache` or `api_proxy`.
pub(crate) struct TokenBlock {
    pub(crate) location: Location,
    pub(crate) token: Option<TokenUse>,
}

impl Unbuilt {
    pub(crate) fn read(file: &Fields<'_>, report: &mut Report) -> Self {
        let api_proxy = token_block(file, "api_proxy", &schema::API_PROXY, report);
        let cache = token_block(file, "cache", &schema::CACHE, report);
        // The incumbents make an api_proxy of it.
        let api_proxy = api_proxy.or_else(|| {
            let cache = cache.as_ref()?;
            cache.uses_token().then(|| TokenBlock { location: cache.location.clone(), token: None })
        });
        let template_config = file.block("template_config", report);
        if let Some(block) = &template_config {
            judge(block, &schema::TEMPLATE_CONFIG, report);
        }
        let templates = file.blocks("template", report);
        for template in &templates {
            judge(template, &schema::TEMPLATE, report);
        }
        Self {
            listeners: listeners(file, report),
            templates: templates.iter().map(|template| template.location.clone()).collect(),
            env_templates: env_templates(file, report),
            cache,
            api_proxy,
            exec: exec(file, report),
            template_config: template_config.map(|block| block.location.clone()),
        }
    }

    /// Lays a later file over this.
    pub(crate) fn merge(&mut self, later: Self) {
        self.listeners += later.listeners;
        self.templates.extend(later.templates);
        self.env_templates.extend(later.env_templates);
        self.cache = later.cache.or(self.cache.take());
        self.api_proxy = later.api_proxy.or(self.api_proxy.take());
        self.exec = later.exec.or(self.exec.take());
        self.template_config = later.template_config.or(self.template_config.take());
    }

    /// Somebody besides sinks takes the token of `auto_auth`.
    pub(crate) fn takes_token(&self) -> bool {
        !self.templates.is_empty()
            || !self.env_templates.is_empty()
            || self.api_proxy.as_ref().is_some_and(TokenBlock::uses_token)
            || self.cache.as_ref().is_some_and(TokenBlock::uses_token)
    }

    /// The incumbents start with this and without `auto_auth`.
    pub(crate) fn runs_alone(&self) -> bool {
        self.listeners > 0 || self.cache.is_some()
    }

    /// What must hold among blocks. `auto_auth`: there is one; `wrapped`: its method has a
    /// `wrap_ttl`.
    pub(crate) fn check(&self, auto_auth: bool, wrapped: bool, report: &mut Report) {
        if let Some(place) = &self.template_config
            && self.templates.is_empty()
            && self.env_templates.is_empty()
        {
            report.push(Diagnostic::new_warning(
                "no-effect",
                "`template_config` has no effect without a `template`",
                "take it out, or write the template",
                Some(place),
            ));
        }
        let mut error = |message: String, help: &str, place: &Location| {
            report.push(Diagnostic::new_error("blocks", message, help, Some(place)));
        };
        if let (Some(cache), Some(proxy)) = (&self.cache, &self.api_proxy)
            && cache.token.is_some()
            && proxy.token.is_some()
        {
            let message = "`use_auto_auth_token` stands in `api_proxy` and in `cache`".to_owned();
            error(message, "take it out of `cache`", &cache.location);
        }
        if let Some(cache) = &self.cache
            && self.listeners == 0
            && self.templates.is_empty()
            && self.env_templates.is_empty()
        {
            let message = "`cache` without a listener or a template".to_owned();
            error(message, "take the cache out, or write what uses it", &cache.location);
        }
        for (name, block) in [("cache", &self.cache), ("api_proxy", &self.api_proxy)] {
            let Some(block) = block.as_ref().filter(|block| block.uses_token()) else { continue };
            if !auto_auth {
                let message = format!("`{name}` uses the token of `auto_auth`, which there isn't");
                error(message, "write an `auto_auth` block", &block.location);
            } else if wrapped {
                let message =
                    format!("`{name}` uses the token of `auto_auth`, whose method wraps it");
                error(message, "take `wrap_ttl` out of the method", &block.location);
            }
        }
        if let Some(proxy) = self.api_proxy.as_ref().filter(|_| self.listeners == 0) {
            let message = "`api_proxy` without a listener".to_owned();
            error(message, "write a `listener`, or take it out", &proxy.location);
        }
        self.check_supervisor(&mut error);
    }

    fn check_supervisor(&self, error: &mut impl FnMut(String, &str, &Location)) {
        match (&self.exec, self.env_templates.first()) {
            (Some(exec), None) => {
                let message = "`exec` without an `env_template`".to_owned();
                error(message, "write env_template \"NAME\" { … }", exec);
            }
            (None, Some((_, place))) => {
                let message = "`env_template` without `exec`".to_owned();
                error(message, "write exec { command = [\"…\"] }", place);
            }
            _ => {}
        }
        if self.exec.is_none() && self.env_templates.is_empty() {
            return;
        }
        let help = "an agent that runs a process does nothing else; start another one for the rest";
        if let Some(proxy) = &self.api_proxy {
            error("`api_proxy` beside `exec`".to_owned(), help, &proxy.location);
        }
        if let Some(template) = self.templates.first() {
            error("`template` beside `exec`".to_owned(), help, template);
        }
        for (index, (name, place)) in self.env_templates.iter().enumerate() {
            if self.env_templates.iter().take(index).any(|(other, _)| other == name) {
                error(format!("a second env_template \"{name}\""), "keep one of them", place);
            }
        }
    }
}

impl TokenBlock {
    pub(crate) fn uses_token(&self) -> bool {
        matches!(self.token, Some(TokenUse::Yes | TokenUse::Force))
    }
}

fn token_block(
    file: &Fields<'_>,
    key: &'static str,
    block: &'static schema::Block,
    report: &mut Report,
) -> Option<TokenBlock> {
    let nested = file.block(key, report)?;
    let fields = judge(&nested, block, report);
    let token = fields.token_use("use_auto_auth_token", &mut Report::new());
    if fields.has("persist") {
        let blocks = fields.blocks("persist", &mut Report::new());
        if let [_, second, ..] = blocks.as_slice() {
            report.push(Diagnostic::new_error(
                "duplicate-block",
                "a second `persist` block",
                "keep one",
                Some(second.location),
            ));
        }
        for persist in &blocks {
            let fields = Fields::of(persist.object, &schema::PERSIST, &mut Report::new());
            if kind(&fields, persist).is_empty() {
                report.push(Diagnostic::new_error(
                    "cache.persist",
                    "`persist` has no type",
                    "write persist \"kubernetes\" { … }",
                    Some(persist.location),
                ));
            }
        }
    }
    Some(TokenBlock { location: nested.location.clone(), token })
}

/// `type`, else the label; in lower case, "" if there is neither.
fn kind(fields: &Fields<'_>, nested: &Nested<'_>) -> String {
    let written = fields.string("type", &mut Report::new()).filter(|text| !text.value.is_empty());
    let label = || match nested.labels {
        [label] => label.text.clone(),
        _ => String::new(),
    };
    written.map_or_else(label, |text| text.value).to_lowercase()
}

fn listeners(file: &Fields<'_>, report: &mut Report) -> usize {
    let mut count = 0;
    for nested in file.blocks("listener", report) {
        // {"listener": {"tcp": {…}}}
        if holds_names(&nested, &schema::LISTENER) {
            for (_, nested) in names_within(&nested) {
                listener(&nested, report);
                count += 1;
            }
        } else {
            listener(&nested, report);
            count += 1;
        }
    }
    count
}

fn listener(nested: &Nested<'_>, report: &mut Report) {
    let fields = judge(nested, &schema::LISTENER, report);
    let place = nested.location;
    let mut error = |code: &str, message: String, help: &str| {
        report.push(Diagnostic::new_error(code, message, help, Some(place)));
    };
    let kind = kind(&fields, nested);
    match kind.as_str() {
        "tcp" | "unix" => {}
        "" => error(
            "listener.type",
            "this listener has no type".to_owned(),
            "write listener \"tcp\" { … } or listener \"unix\" { … }",
        ),
        other => error(
            "listener.type",
            format!("there is no listener type {other:?}"),
            "write \"tcp\" or \"unix\"",
        ),
    }
    let mut silent = Report::new();
    let role = fields.string("role", &mut silent).map(|role| role.value).unwrap_or_default();
    if !matches!(role.as_str(), "" | "default" | "metrics_only") {
        let message = format!("there is no role {role:?}");
        error("listener.role", message, "write \"default\" or \"metrics_only\"");
    }
    let reload = fields.weak_boolean("tls_auto_reload", &mut silent);
    let certificate = fields.string("tls_cert_file", &mut silent);
    if reload.is_some_and(|reload| reload.value)
        && certificate.is_none_or(|file| file.value.is_empty())
    {
        error(
            "listener.tls_auto_reload",
            "`tls_auto_reload` without `tls_cert_file`".to_owned(),
            "name the certificate: tls_cert_file = \"…\"",
        );
    }
    let interval = fields.duration("tls_auto_reload_interval", &mut silent);
    if interval.is_some_and(|interval| interval.value < SHORTEST_RELOAD) {
        error(
            "listener.tls_auto_reload_interval",
            "`tls_auto_reload_interval` is less than 5s".to_owned(),
            "write 5s or more",
        );
    }
}

fn env_templates(file: &Fields<'_>, report: &mut Report) -> Vec<(String, Location)> {
    let mut templates = Vec::new();
    for (name, nested) in file.named_blocks("env_template", &schema::ENV_TEMPLATE, report) {
        let fields = judge(&nested, &schema::ENV_TEMPLATE, report);
        let place = nested.location;
        let mut error = |message: String, help: &str| {
            report.push(Diagnostic::new_error("env_template", message, help, Some(place)));
        };
        for key in FILE_ONLY.into_iter().filter(|key| fields.has(key)) {
            let message = format!("`{key}` is not for an env_template, which makes no file");
            error(message, "take it out");
        }
        match (fields.has("contents"), fields.has("source")) {
            (true, true) => {
                error("`contents` and `source` exclude each other".to_owned(), "keep one of them");
            }
            (false, false) => error(
                "this env_template has neither `contents` nor `source`".to_owned(),
                "write contents = \"…\"",
            ),
            _ => {}
        }
        templates.push((name, place.clone()));
    }
    templates
}

fn exec(file: &Fields<'_>, report: &mut Report) -> Option<Location> {
    let nested = file.block("exec", report)?;
    let fields = judge(&nested, &schema::EXEC, report);
    let is_list = fields.strings("command", &mut Report::new());
    let empty = is_list.as_ref().is_some_and(Vec::is_empty);
    if empty || !fields.has("command") {
        report.push(Diagnostic::new_error(
            "exec.command",
            "`exec` has no command",
            "write command = [\"PROGRAM\", \"ARGUMENT\"]",
            Some(nested.location),
        ));
    }
    Some(nested.location.clone())
}

//! Reads what isn't built yet (templates, process supervisor), so that what the incumbents refuse is
//! invalid and what they take is only unsupported; and judges what must hold among it, `cache` and
//! what else is built.

use crate::api_proxy::ApiProxyBlock;
use crate::cache::CacheBlock;
use crate::diagnostic::{Diagnostic, Location};
use crate::dialect::Dialect;
use crate::fields::{Fields, Report};
use crate::judge::judge;
use crate::schema;
use crate::settings::{Cache, Persist, TokenUse};

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

/// What the rules over a whole configuration ask for.
#[derive(Default)]
pub(crate) struct Unbuilt {
    templates: Vec<Location>,
    env_templates: Vec<(String, Location)>,
    cache: Option<CacheBlock>,
    exec: Option<Location>,
    template_config: Option<Location>,
}

/// What is built, as far as the rules ask for it.
pub(crate) struct Beside<'a> {
    /// There is an identity, be it a broken one.
    pub(crate) identity: bool,
    /// Requests get the token of `auto_auth`, whose method has a `wrap_ttl`.
    pub(crate) wrapped: bool,
    /// There is a listener, be it a broken one.
    pub(crate) listener: bool,
    pub(crate) api_proxy: Option<&'a ApiProxyBlock>,
}

impl Unbuilt {
    pub(crate) fn read(file: &Fields<'_>, dialect: Dialect, report: &mut Report) -> Self {
        let cache = CacheBlock::read(file, dialect, report);
        let template_config = file.block("template_config", report);
        if let Some(block) = &template_config {
            judge(block, &schema::TEMPLATE_CONFIG, report);
        }
        let templates = file.blocks("template", report);
        for template in &templates {
            judge(template, &schema::TEMPLATE, report);
        }
        Self {
            templates: templates.iter().map(|template| template.location.clone()).collect(),
            env_templates: env_templates(file, report),
            cache,
            exec: exec(file, report),
            template_config: template_config.map(|block| block.location.clone()),
        }
    }

    /// Lays a later file over this.
    pub(crate) fn merge(&mut self, later: Self) {
        self.templates.extend(later.templates);
        self.env_templates.extend(later.env_templates);
        self.cache = later.cache.or(self.cache.take());
        self.exec = later.exec.or(self.exec.take());
        self.template_config = later.template_config.or(self.template_config.take());
    }

    /// Templates take the token of `auto_auth`.
    pub(crate) fn takes_token(&self) -> bool {
        !self.templates.is_empty() || !self.env_templates.is_empty()
    }

    /// What `cache` says of the tokens of requests, for the incumbents make an `api_proxy` of it.
    pub(crate) fn token_use(&self) -> Option<TokenUse> {
        self.cache.as_ref()?.token_use
    }

    /// The cache, if there is one.
    pub(crate) fn cached(&self) -> Option<Cache> {
        self.cache.as_ref().map(CacheBlock::settle)
    }

    /// What outlives the process.
    pub(crate) fn persist(&self) -> Option<Persist> {
        self.cache.as_ref()?.persist.as_ref()?.setting.clone()
    }

    /// The incumbents start with this and without `auto_auth`.
    pub(crate) fn runs_alone(&self) -> bool {
        self.cache.is_some()
    }

    /// What must hold among blocks.
    pub(crate) fn check(&self, beside: &Beside<'_>, report: &mut Report) {
        let api_proxy = beside.api_proxy.map(|block| (block.token_use, &block.location));
        let cache = self.cache.as_ref().map(|block| (block.token_use, &block.location));
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
        let persist = self.cache.as_ref().and_then(|block| block.persist.as_ref());
        if let Some(block) = persist.filter(|_| !beside.identity) {
            report.push(Diagnostic::new_warning(
                "no-effect",
                "`persist` has no effect without an identity: of the cache nothing is kept yet",
                "write an `auto_auth` block, or take it out",
                Some(&block.location),
            ));
        }
        let mut error = |message: String, help: &str, place: &Location| {
            report.push(Diagnostic::new_error("blocks", message, help, Some(place)));
        };
        if let (Some((Some(_), place)), Some((Some(_), _))) = (cache, api_proxy) {
            let message = "`use_auto_auth_token` stands in `api_proxy` and in `cache`".to_owned();
            error(message, "take it out of `cache`", place);
        }
        let keeps = beside.identity && persist.is_some_and(|block| !block.needs_listener);
        let useless = !beside.listener && !self.takes_token() && !keeps;
        if let Some((_, place)) = cache.filter(|_| useless) {
            let message = "`cache` without a listener or a template".to_owned();
            error(message, "take the cache out, or write what uses it", place);
        }
        for (name, block) in [("cache", cache), ("api_proxy", api_proxy)] {
            let Some((_, place)) = block.filter(|(token, _)| is_used(*token)) else { continue };
            if !beside.identity {
                let message = format!("`{name}` uses the token of `auto_auth`, and there is none");
                let help = "write an `auto_auth` block, or take `use_auto_auth_token` out: callers then bring their own";
                error(message, help, place);
            } else if beside.wrapped {
                let message =
                    format!("`{name}` uses the token of `auto_auth`, whose method wraps it");
                error(message, "take `wrap_ttl` out of the method", place);
            }
        }
        // The incumbents make an api_proxy of a cache that uses the token.
        let api_proxy = api_proxy.or_else(|| cache.filter(|(token, _)| is_used(*token)));
        let api_proxy = api_proxy.map(|(_, place)| place);
        if let Some(place) = api_proxy.filter(|_| !beside.listener) {
            let message = "`api_proxy` without a listener".to_owned();
            error(message, "write a `listener`, or take it out", place);
        }
        self.check_supervisor(api_proxy, &mut error);
    }

    fn check_supervisor(
        &self,
        api_proxy: Option<&Location>,
        error: &mut impl FnMut(String, &str, &Location),
    ) {
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
        if let Some(place) = api_proxy {
            error("`api_proxy` beside `exec`".to_owned(), help, place);
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

fn is_used(token: Option<TokenUse>) -> bool {
    token.is_some_and(|token| token != TokenUse::Never)
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

//! Reads `cache`: what is kept of answers to proxied requests.

use std::time::Duration;

use crate::diagnostic::{Diagnostic, Location};
use crate::dialect::Dialect;
use crate::fields::{Fields, Located, Report};
use crate::judge::judge;
use crate::persist::PersistBlock;
use crate::schema;
use crate::settings::{Cache, StaticSecrets, TokenUse};

/// The `cache` block.
pub(crate) struct CacheBlock {
    pub(crate) location: Location,
    /// None: it doesn't say.
    pub(crate) token_use: Option<TokenUse>,
    static_secrets: Option<StaticSecrets>,
    pub(crate) persist: Option<PersistBlock>,
}

impl CacheBlock {
    pub(crate) fn read(file: &Fields<'_>, dialect: Dialect, report: &mut Report) -> Option<Self> {
        let nested = file.block("cache", report)?;
        let fields = judge(&nested, &schema::CACHE, report);
        let static_secrets = static_secrets(&fields, report);
        // A proxy has never had it there, and its incumbents ignore it.
        let token_use = (dialect == Dialect::Agent)
            .then(|| fields.token_use("use_auto_auth_token", &mut Report::new()))
            .flatten();
        let persist = PersistBlock::read(&fields, report);
        Some(Self { location: nested.location.clone(), token_use, static_secrets, persist })
    }

    pub(crate) fn settle(&self) -> Cache {
        Cache { static_secrets: self.static_secrets }
    }
}

/// What is judged already. None: static secrets aren't kept.
fn static_secrets(cache: &Fields<'_>, report: &mut Report) -> Option<StaticSecrets> {
    const KEY: &str = "cache_static_secrets";
    let mut silent = Report::new();
    let interval = cache.duration("static_secret_token_capability_refresh_interval", &mut silent);
    let interval = interval.map(|interval| interval.value).filter(|interval| !interval.is_zero());
    let default = StaticSecrets::default();
    let default = StaticSecrets { proof: interval.unwrap_or(default.proof), ..default };
    let Some(nested) = cache.block_within(KEY) else {
        let on = cache.weak_boolean(KEY, &mut silent);
        return on.is_some_and(|on| on.value).then_some(default);
    };
    let fields = Fields::of(nested.object, &schema::STATIC_SECRETS, &mut silent);
    let mut long = |key: &str, default: Duration| {
        let said = fields.duration(key, &mut Report::new());
        if let Some(Located { location, .. }) = said.as_ref().filter(|said| said.value.is_zero()) {
            let message = format!("`{key}` in cache_static_secrets is 0: nothing would be given");
            let help = "write a duration, or take cache_static_secrets out";
            report.push(Diagnostic::new_error("cache", message, help, Some(location)));
        }
        said.map_or(default, |said| said.value)
    };
    let (ttl, proof) = (long("ttl", default.ttl), long("proof", default.proof));
    let max_stale = fields.duration("max_stale", &mut silent);
    let entries =
        fields.integer("entries", &mut silent).map(|entries| usize::try_from(entries).ok());
    if let Some(None | Some(0)) = entries {
        let place = fields.last("entries", &mut silent).map(|node| &node.location);
        let message = "`entries` in cache_static_secrets is no number of answers".to_owned();
        let help = "write at least 1, or take cache_static_secrets out";
        report.push(Diagnostic::new_error("cache", message, help, place));
    }
    let bytes = fields.size("bytes", &mut silent);
    Some(StaticSecrets {
        ttl,
        max_stale: max_stale.map_or(default.max_stale, |max_stale| max_stale.value),
        proof,
        entries: entries.flatten().unwrap_or(default.entries),
        bytes: bytes.map_or(default.bytes, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
    })
}

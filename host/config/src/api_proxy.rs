//! Reads `api_proxy`: what becomes of the requests that listeners get.

use usher_address::Namespace;

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Report};
use crate::judge::judge;
use crate::said::Mergeable;
use crate::schema::API_PROXY;
use crate::settings::{ApiProxy, TokenUse};

/// The `api_proxy` block.
pub(crate) struct ApiProxyBlock {
    pub(crate) location: Location,
    /// None: it doesn't say.
    pub(crate) token_use: Option<TokenUse>,
    namespace: Option<Namespace>,
    /// Where it is said that the namespace goes before that of a request.
    prepends: Option<Location>,
}

impl Mergeable for ApiProxyBlock {
    fn location(&self) -> Option<&Location> {
        Some(&self.location)
    }
}

impl ApiProxyBlock {
    pub(crate) fn read(file: &Fields<'_>, key: &str, report: &mut Report) -> Option<Self> {
        const PREPEND: &str = "prepend_configured_namespace";
        let nested = file.block(key, report)?;
        let fields = judge(&nested, &API_PROXY, report);
        let mut silent = Report::new();
        let namespace = fields.string("namespace", &mut silent);
        let namespace = namespace.filter(|text| !text.value.trim().is_empty()).and_then(|text| {
            let parsed = Namespace::parse(&text.value);
            let refuse = |why: usher_address::Malformed| {
                let place = Some(&text.location);
                Diagnostic::new_error("api_proxy.namespace", why.what, why.remedy, place)
            };
            parsed.map_err(|why| report.push(refuse(why))).ok()
        });
        let prepends = fields.strict_boolean(PREPEND, &mut silent).unwrap_or(false);
        let place = fields.last(PREPEND, &mut silent).filter(|_| prepends);
        Some(Self {
            location: nested.location.clone(),
            token_use: fields.token_use("use_auto_auth_token", &mut silent),
            namespace,
            prepends: place.map(|node| node.location.clone()),
        })
    }

    /// `configured` is the namespace of flag, environment and `vault`, if one of them has it.
    pub(crate) fn settle(self, configured: Option<&Namespace>, report: &mut Report) -> ApiProxy {
        let Self { token_use, namespace, prepends, .. } = self;
        let namespace = namespace.or_else(|| configured.filter(|_| prepends.is_some()).cloned());
        let nothing = namespace.as_ref().is_none_or(Namespace::is_root);
        if let Some(place) = prepends.as_ref().filter(|_| nothing) {
            report.push(Diagnostic::new_warning(
                "no-effect",
                "`prepend_configured_namespace` has no effect: no namespace is configured",
                "write namespace = \"…\" in `api_proxy` or in `vault`, or take it out",
                Some(place),
            ));
        }
        ApiProxy {
            token_use: token_use.unwrap_or_default(),
            namespace,
            prepend_namespace: prepends.is_some(),
        }
    }
}

//! The tables of what is judged and not built yet: proxy, cache, templates, process supervisor.

use super::Block;

pub(crate) static API_PROXY: Block =
    Block { name: "api_proxy", closed: false, hint: "", keys: &[] };
pub(crate) static LISTENER: Block = Block { name: "listener", closed: false, hint: "", keys: &[] };
pub(crate) static CACHE: Block = Block { name: "cache", closed: false, hint: "", keys: &[] };
pub(crate) static TEMPLATE: Block = Block { name: "template", closed: true, hint: "", keys: &[] };
pub(crate) static TEMPLATE_CONFIG: Block =
    Block { name: "template_config", closed: false, hint: "", keys: &[] };
pub(crate) static ENV_TEMPLATE: Block =
    Block { name: "env_template", closed: true, hint: "", keys: &[] };
pub(crate) static EXEC: Block = Block { name: "exec", closed: true, hint: "", keys: &[] };

//! Where a key stands: for one that its block doesn't know, the key that was meant, or the nearest
//! block that knows it.

use super::top::TOP;
use super::{Block, Change, FILE, Key, Kind, State};
use crate::resemblance::nearest;

/// Keys of `listener` and `persist`, and what most methods and sinks call a setting of their `config`,
/// which is the likelier by far to be misplaced.
const SETTINGS_OF_PLUGINS: [&str; 2] = ["role", "path"];

impl Block {
    /// May be empty: nothing is better than something far-fetched. `settings` are those of the
    /// plug-in whose `config` stands in this block, as far as they are known.
    pub(crate) fn suggestion(&'static self, name: &str, settings: &[String]) -> String {
        let settings = || settings.iter().map(String::as_str);
        if settings().any(|setting| setting == name) {
            return format!(
                "`{name}` is a setting of the {0} itself; write it into the {0}'s block: config {{ {name} = … }}",
                self.name
            );
        }
        if let Some(meant) = nearest(name, self.keys.iter().map(|key| key.name)) {
            return format!("did you mean `{meant}`?");
        }
        if let Some(meant) = nearest(name, settings()) {
            return format!("did you mean `{meant}`? It goes into the block config {{ … }}");
        }
        self.elsewhere(name).unwrap_or_else(|| self.hint.to_owned())
    }

    /// The nearest blocks that know the key, those in this one and around it before their
    /// neighbours.
    pub(crate) fn elsewhere(&'static self, name: &str) -> Option<String> {
        if SETTINGS_OF_PLUGINS.iter().any(|setting| name.eq_ignore_ascii_case(setting)) {
            return None;
        }
        let around = FILE.way_to(self).unwrap_or_default();
        let parent = around.last().copied();
        let grandparent = around.iter().rev().nth(1).copied();
        let siblings = || parent.into_iter().flat_map(Self::blocks_in);
        let inner = || self.blocks_in().into_iter().flat_map(Self::blocks_in);
        let circles: [Vec<&Self>; 5] = [
            self.blocks_in(),
            parent.into_iter().collect(),
            siblings().filter(|block| !std::ptr::eq(*block, self)).collect(),
            grandparent.into_iter().collect(),
            inner().collect(),
        ];
        let names = circles.iter().find_map(|blocks| {
            let mut names: Vec<&str> = Vec::new();
            for block in blocks.iter().filter(|block| block.key(name).is_some()) {
                if !names.contains(&block.name) {
                    names.push(block.name);
                }
            }
            (!names.is_empty()).then_some(names)
        })?;
        let name = name.to_ascii_lowercase();
        Some(match names.as_slice() {
            [TOP] => format!("`{name}` belongs at the top level"),
            names => format!("`{name}` belongs in {}", names.join(" or ")),
        })
    }

    /// What a change of the key takes, of `BLOCK.KEY` of that key in the block; of one that there
    /// isn't, all there is.
    pub(crate) fn change(&'static self, key: &str) -> Change {
        if let Some((block, inner)) = key.split_once('.') {
            let block = self.key(block).and_then(|key| key.kind.block());
            return block.map_or(Change::Restart, |block| block.change(inner));
        }
        match self.key(key).map_or(Change::Restart, |key| key.change) {
            Change::AsBlock => self.change_around().unwrap_or(Change::Restart),
            change => change,
        }
    }

    /// What a change takes by the nearest key around this block that says so.
    fn change_around(&'static self) -> Option<Change> {
        let mut way = FILE.way_to(self)?;
        way.push(self);
        way.windows(2).rev().find_map(|pair| {
            let [outer, inner] = pair else { return None };
            let leads_here =
                |key: &&Key| key.kind.block().is_some_and(|block| std::ptr::eq(block, *inner));
            let key = outer.keys.iter().find(leads_here)?;
            (key.change != Change::AsBlock).then_some(key.change)
        })
    }

    /// The key of the top level in whose block this one is.
    #[cfg(test)]
    pub(super) fn top_key(&'static self) -> Option<&'static Key> {
        let leads_here =
            |inner: &'static Self| std::ptr::eq(inner, self) || inner.way_to(self).is_some();
        FILE.keys.iter().find(|key| key.kind.block().is_some_and(leads_here))
    }

    /// The blocks that this one may hold; not those that are refused.
    fn blocks_in(&'static self) -> Vec<&'static Self> {
        let taken = self.keys.iter().filter(|key| !matches!(key.state, State::NotBuilt(_)));
        taken.filter_map(|key| key.kind.block()).collect()
    }

    /// The blocks from this one down to where `block` may stand.
    fn way_to(&'static self, block: &Self) -> Option<Vec<&'static Self>> {
        let inner = || self.keys.iter().filter_map(|key| key.kind.block());
        if inner().any(|inner| std::ptr::eq(inner, block)) {
            return Some(vec![self]);
        }
        let mut way = inner().find_map(|inner| inner.way_to(block))?;
        way.insert(0, self);
        Some(way)
    }
}

impl Kind {
    fn block(self) -> Option<&'static Block> {
        match self {
            Self::Block(block)
            | Self::Typed(block)
            | Self::Named(block)
            | Self::SwitchOrBlock(block) => Some(block),
            Self::Wait => Some(&super::WAIT),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::built_ins::{METHODS, SINKS, settings};
    use super::super::{
        ALLOW, AUTO_AUTH, FILE, IDENTITY, IDENTITY_METHOD, IDENTITY_SINK, METHOD, PLUGIN, SINK,
        SINKS as SINKS_BLOCK, TEMPLATE, VAULT,
    };

    #[test]
    fn a_typing_error_gets_the_key_that_was_meant() {
        for (block, written, meant) in [
            (&FILE, "auto_atuh", "auto_auth"),
            (&FILE, "PIDFILE", "pid_file"),
            (&VAULT, "adress", "address"),
            (&VAULT, "tls_skip_verfy", "tls_skip_verify"),
            (&VAULT, "skip_verify", "tls_skip_verify"),
            (&METHOD, "tpye", "type"),
            (&METHOD, "mountPath", "mount_path"),
            (&SINK, "wrap-ttl", "wrap_ttl"),
        ] {
            assert_eq!(block.suggestion(written, &[]), format!("did you mean `{meant}`?"));
        }
    }

    #[test]
    fn a_misplaced_key_is_sent_to_the_nearest_block_that_knows_it() {
        for (block, written, place) in [
            (&VAULT, "num_retries", "in vault.retry"),
            (&VAULT, "method", "in auto_auth or identity"),
            (&AUTO_AUTH, "pid_file", "at the top level"),
            (&AUTO_AUTH, "mount_path", "in method"),
            (&AUTO_AUTH, "wrap_ttl", "in method or sink"),
            (&AUTO_AUTH, "address", "in vault or listener"),
            (&METHOD, "token_check_interval", "in auto_auth"),
            (&METHOD, "enable_reauth_on_new_credentials", "in auto_auth"),
            (&IDENTITY_METHOD, "token_check_interval", "in identity"),
            (&METHOD, "dh_type", "in sink"),
            (&METHOD, "exit_after_auth", "at the top level"),
            (&SINK, "mount_path", "in method"),
            (&IDENTITY_SINK, "MOUNT_PATH", "in method"),
            (&SINKS_BLOCK, "dh_path", "in sink"),
            (&FILE, "address", "in vault or listener"),
            (&FILE, "method", "in auto_auth or identity"),
            (&FILE, "mount_path", "in method"),
            (&FILE, "read", "in plugin.allow"),
            (&PLUGIN, "connect", "in plugin.allow"),
            (&PLUGIN, "memory", "in plugin.limits"),
            (&ALLOW, "sha256", "in plugin"),
            (&TEMPLATE, "kill_signal", "in template.exec"),
        ] {
            let expected = format!("`{}` belongs {place}", written.to_lowercase());
            assert_eq!(block.suggestion(written, &[]), expected, "{written} in {}", block.name);
        }
        assert_eq!(IDENTITY.suggestion("config", &[]), "`config` belongs in method or sink");
    }

    #[test]
    fn a_setting_beside_its_config_block_is_sent_into_it() {
        for (block, of, kind, written, said) in [
            (&SINK, SINKS, "file", "path", "config { path = … }"),
            (&SINK, SINKS, "file", "pth", "did you mean `path`? It goes into the block config"),
            (&METHOD, METHODS, "jwt", "role", "config { role = … }"),
            (&METHOD, METHODS, "ldap", "username", "config { username = … }"),
            (&IDENTITY_METHOD, METHODS, "cert", "ca_cert", "config { ca_cert = … }"),
            (&METHOD, METHODS, "approle", "role_id_path", "did you mean `role_id_file_path`?"),
        ] {
            let said_indeed = block.suggestion(written, &settings(of, kind));
            assert!(said_indeed.contains(said), "{written}: {said_indeed}");
        }
    }

    #[test]
    fn nothing_far_fetched_is_said() {
        for (block, written) in
            [(&VAULT, "colour"), (&FILE, "role"), (&FILE, "path"), (&AUTO_AUTH, "role")]
        {
            assert_eq!(block.suggestion(written, &[]), "", "{written} in {}", block.name);
        }
        for (block, of, kind, written) in [
            (&METHOD, METHODS, "approle", "role"),
            (&METHOD, METHODS, "acme", "role"),
            (&METHOD, METHODS, "acme", "path"),
            (&SINK, SINKS, "acme", "path"),
            (&SINK, SINKS, "file", "perms"),
        ] {
            let said = block.suggestion(written, &settings(of, kind));
            assert_eq!(said, block.hint, "{written} in {}", block.name);
        }
    }
}

//! The functions that the SDK's modules call, answered from the installed [`Host`](super::Host).

use super::grants::absolute;
use super::{File, LogLine, Operation, Scene, current};
use crate::Failure;
use crate::crypto::KeyPair;
use crate::files::WriteOptions;
use crate::http::{Request, Response};
use crate::log::Level;
use std::rc::Rc;
use std::time::SystemTime;
use usher_grant::Capability;

const STATE_LIMIT: usize = 64 * 1024;
const FILE_LIMIT: usize = 1024 * 1024;
const RANDOM_LIMIT: u32 = 65_536;

pub(crate) fn identity() -> String {
    current(|scene| scene.identity.clone())
}

pub(crate) fn server_address() -> String {
    current(|scene| scene.server_address.clone())
}

pub(crate) fn namespace() -> String {
    current(|scene| scene.namespace.clone())
}

pub(crate) fn mount_path() -> String {
    current(|scene| scene.mount_path.clone())
}

pub(crate) fn reason() -> String {
    current(|scene| scene.reason.clone())
}

pub(crate) fn previous_failure() -> Option<Failure> {
    current(|scene| scene.previous_failure.clone())
}

pub(crate) fn load() -> Vec<u8> {
    current(|scene| scene.state.clone())
}

pub(crate) fn save(value: &[u8]) -> Result<(), Failure> {
    current(|scene| {
        scene.scripted(Operation::Save, "")?;
        if value.len() > STATE_LIMIT {
            return Err(Failure::internal("limit.exceeded", "state is larger than 64 KiB"));
        }
        value.clone_into(&mut scene.state);
        Ok(())
    })
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    current(|scene| scene.logs.push(LogLine { level, message: message.to_owned(), fields }));
}

pub(crate) fn now() -> u64 {
    let since = current(|scene| scene.now).duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Bytes that differ from call to call and are the same in each run (`SplitMix64`).
pub(crate) fn random(length: u32) -> Vec<u8> {
    assert!(length <= RANDOM_LIMIT, "more than 65,536 random bytes end the call");
    current(|scene| {
        let next = || {
            scene.random = scene.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (scene.random ^ (scene.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Some((mixed ^ (mixed >> 31)).to_le_bytes())
        };
        std::iter::from_fn(next).flatten().take(length as usize).collect()
    })
}

pub(crate) fn env(name: &str) -> Result<Option<String>, Failure> {
    current(|scene| {
        scene.grants.check_env(name)?;
        scene.scripted(Operation::Env, name)?;
        Ok(scene.env.get(name).cloned())
    })
}

pub(crate) fn read(path: &str) -> Result<Vec<u8>, Failure> {
    current(|scene| {
        let place = scene.absolute(path);
        scene.grants.check_file(Capability::Read, &place)?;
        scene.scripted(Operation::Read, path)?;
        let missing = || Failure::unavailable("file.not-found", format!("{path} does not exist"));
        let file = scene.files.get(&place).ok_or_else(missing)?;
        if file.content.len() > FILE_LIMIT {
            return Err(Failure::unavailable(
                "limit.exceeded",
                format!("{path} is larger than 1 MiB"),
            ));
        }
        Ok(file.content.clone())
    })
}

pub(crate) fn write(path: &str, content: &[u8], options: &WriteOptions) -> Result<(), Failure> {
    let WriteOptions { mode, owner, group, placement } = options.clone();
    current(|scene| {
        let place = scene.absolute(path);
        scene.grants.check_file(Capability::Write, &place)?;
        scene.scripted(Operation::Write, path)?;
        let file = File { content: content.to_owned(), mode, owner, group, placement };
        scene.files.insert(place, file);
        Ok(())
    })
}

pub(crate) fn check_write(path: &str, _: &WriteOptions) -> Result<(), Failure> {
    current(|scene| {
        scene.grants.check_file(Capability::Write, &scene.absolute(path))?;
        scene.scripted(Operation::CheckWrite, path)
    })
}

pub(crate) fn remove(path: &str) -> Result<(), Failure> {
    current(|scene| {
        let place = scene.absolute(path);
        scene.grants.check_file(Capability::Remove, &place)?;
        scene.scripted(Operation::Remove, path)?;
        scene.files.remove(&place);
        Ok(())
    })
}

/// The fake files have no links, so the target is the file itself.
pub(crate) fn remove_target(path: &str) -> Result<(), Failure> {
    remove(path)
}

pub(crate) fn send(request: Request) -> Result<Response, Failure> {
    let respond = current(|scene| {
        scene.grants.check_url(&request.url)?;
        scene.requests.push(request.clone());
        let known = scene.exchanges.iter().rev();
        let is_meant =
            |url: &str| url == request.url || url.ends_with('?') && request.url.starts_with(url);
        let mut matching =
            known.filter(|exchange| exchange.method == request.method && is_meant(&exchange.url));
        let message = format!("nothing answers {} {}", request.method, request.url);
        matching
            .next()
            .map(|exchange| Rc::clone(&exchange.respond))
            .ok_or_else(|| Failure::unavailable("http.connect", message))
    })?;
    respond(&request)
}

pub(crate) fn digest(algorithm: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    match current(|scene| scene.digest.clone()) {
        Some(digest) => digest(algorithm, data),
        None => unsupported(),
    }
}

pub(crate) fn hmac(_: &str, _: &[u8], _: &[u8]) -> Result<Vec<u8>, Failure> {
    unsupported()
}

pub(crate) fn sign(algorithm: &str, key_pem: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
    match current(|scene| scene.sign.clone()) {
        Some(sign) => sign(algorithm, key_pem, data),
        None => unsupported(),
    }
}

pub(crate) fn generate(_: &str) -> Result<KeyPair, Failure> {
    let next = current(|scene| (!scene.key_pairs.is_empty()).then(|| scene.key_pairs.remove(0)));
    next.map_or_else(unsupported, Ok)
}

pub(crate) fn unwrap(token: &str, creation_path: Option<&str>) -> Result<String, Failure> {
    current(|scene| {
        scene.grants.check_named(Capability::Server, "unwrap")?;
        scene.unwrapped.push(token.to_owned());
        scene.scripted(Operation::Unwrap, token)?;
        let used = || Failure::denied("wrapping.used", "the token was used already or expired");
        let (path, answer) = scene.wrapped.get(token).ok_or_else(used)?;
        if creation_path.is_some_and(|wanted| wanted != path) {
            let message = format!("the token was made at {path}");
            return Err(Failure::denied("wrapping.creation-path", message));
        }
        let answer = answer.to_string();
        scene.wrapped.remove(token);
        Ok(answer)
    })
}

pub(crate) fn exchange(krb5_conf: &str, realm: &str, request: &[u8]) -> Result<Vec<u8>, Failure> {
    let answer = current(|scene| {
        scene.grants.check_named(Capability::Kdc, realm)?;
        scene.grants.check_file(Capability::Read, &scene.absolute(krb5_conf))?;
        Ok::<_, Failure>(scene.kdc.clone())
    })?;
    match answer {
        Some(answer) => answer(realm, request),
        None => unsupported(),
    }
}

fn unsupported<T>() -> Result<T, Failure> {
    Err(Failure::config("host.unsupported", "the fake host can't do this"))
}

impl Scene {
    /// The file that is named so.
    pub(super) fn absolute(&self, path: &str) -> String {
        absolute(path, &self.env)
    }

    /// What a failure is kept by.
    pub(super) fn target(&self, operation: Operation, target: &str) -> String {
        match operation {
            Operation::Read | Operation::Write | Operation::CheckWrite | Operation::Remove => {
                self.absolute(target)
            }
            Operation::Env | Operation::Unwrap | Operation::Save => target.to_owned(),
        }
    }

    fn scripted(&self, operation: Operation, target: &str) -> Result<(), Failure> {
        match self.failures.get(&(operation, self.target(operation, target))) {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }
}

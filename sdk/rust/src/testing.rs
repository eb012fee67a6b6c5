//! A host made of maps, so that a plug-in's logic is tested with plain `cargo test`.
//!
//! Install a [`Host`], set the scene, and call the plug-in through the functions here: like the
//! real host they pass the configuration as JSON, ask `prepare` first, and grant what it
//! answered and no more, by the agent's own rules. A need that `prepare` forgot thus fails the
//! test. Files are those that the test puts there, without links; the agent was started in `/`, and
//! its home is what the variable `HOME` says, if the test sets one. `crypto` and `kdc`
//! answer "host.unsupported", but for signatures and answers that the test itself makes.

pub(crate) mod backend;
mod grants;

use crate::crypto::KeyPair;
use crate::files::Placement;
use crate::http::{Request, Response};
use crate::log::Level;
use crate::{Answer, AuthMethod, Delivery, Failure, Need, Sink, method, plugin, sink};
use grants::Grants;
use schemars::JsonSchema;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Panics, showing what should be in the file, if a schema kept in one
/// ([`AuthMethod::CONFIG_SCHEMA`], [`Sink::CONFIG_SCHEMA`]) isn't that of the type.
pub fn check_config_schema<C: JsonSchema>(kept: Option<&str>) {
    let wanted = plugin::config_schema::<C>();
    let kept: Option<Value> = kept.and_then(|kept| serde_json::from_str(kept).ok());
    assert!(kept.as_ref() == Some(&wanted), "the schema should be:\n{wanted:#}");
}

/// The configuration's needs, as the exported `prepare` answers.
pub fn prepare_method<M: AuthMethod>(config: &Value) -> Result<Vec<Need>, Failure> {
    method::prepare::<M>(&config.to_string())
}

/// Prepares, grants, and calls `authenticate`.
pub fn authenticate<M: AuthMethod>(config: &Value) -> Result<Answer, Failure> {
    grant(prepare_method::<M>(config)?)?;
    let answer = method::authenticate::<M>(&config.to_string())?;
    current(|scene| scene.grants.check_answer(&answer))?;
    Ok(answer)
}

/// Prepares, grants, and tells the method that its last answer was accepted.
pub fn authenticated<M: AuthMethod>(config: &Value) -> Result<(), Failure> {
    grant(prepare_method::<M>(config)?)?;
    method::authenticated::<M>(&config.to_string())
}

/// The configuration's needs, as the exported `prepare` answers.
pub fn prepare_sink<S: Sink>(config: &Value) -> Result<Vec<Need>, Failure> {
    sink::prepare::<S>(&config.to_string())
}

/// Prepares, grants, and calls `check`.
pub fn check<S: Sink>(config: &Value) -> Result<(), Failure> {
    grant(prepare_sink::<S>(config)?)?;
    sink::check::<S>(&config.to_string())
}

/// Prepares, grants, and calls `deliver`.
pub fn deliver<S: Sink>(config: &Value, delivery: &Delivery) -> Result<(), Failure> {
    grant(prepare_sink::<S>(config)?)?;
    sink::deliver::<S>(&config.to_string(), delivery)
}

/// Prepares, grants, and calls `withdraw`.
pub fn withdraw<S: Sink>(config: &Value) -> Result<(), Failure> {
    grant(prepare_sink::<S>(config)?)?;
    sink::withdraw::<S>(&config.to_string())
}

fn grant(needs: Vec<Need>) -> Result<(), Failure> {
    current(|scene| {
        let Scene { grants, env, .. } = scene;
        grants.replace(needs, env)
    })
}

/// A stand-in for the host, for the thread that installed it, until it is dropped.
pub struct Host(Rc<RefCell<Scene>>);

/// One line that the plug-in logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// A file as the plug-in, or the test, left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// All of it.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// As asked for.
    pub owner: Option<String>,
    /// As asked for.
    pub group: Option<String>,
    /// How it was written last.
    pub placement: Placement,
}

/// What can be made to fail with [`Host::fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// [`crate::files::read`].
    Read,
    /// [`crate::files::write()`].
    Write,
    /// [`crate::files::check_write`].
    CheckWrite,
    /// [`crate::files::remove`] and [`crate::files::remove_target`].
    Remove,
    /// [`crate::env::get`].
    Env,
    /// [`crate::server::unwrap`].
    Unwrap,
    /// [`crate::state::save`].
    Save,
}

struct Scene {
    identity: String,
    server_address: String,
    namespace: String,
    mount_path: String,
    reason: String,
    previous_failure: Option<Failure>,
    state: Vec<u8>,
    logs: Vec<LogLine>,
    now: SystemTime,
    random: u64,
    env: BTreeMap<String, String>,
    /// By absolute path.
    files: BTreeMap<String, File>,
    failures: BTreeMap<(Operation, String), Failure>,
    exchanges: Vec<Exchange>,
    digest: Option<Rc<Digest>>,
    sign: Option<Rc<Sign>>,
    key_pairs: Vec<KeyPair>,
    kdc: Option<Rc<Kdc>>,
    requests: Vec<Request>,
    wrapped: BTreeMap<String, (String, Value)>,
    unwrapped: Vec<String>,
    grants: Grants,
}

type Digest = dyn Fn(&str, &[u8]) -> Result<Vec<u8>, Failure>;
type Sign = dyn Fn(&str, &str, &[u8]) -> Result<Vec<u8>, Failure>;
type Kdc = dyn Fn(&str, &[u8]) -> Result<Vec<u8>, Failure>;
type Respond = dyn Fn(&Request) -> Result<Response, Failure>;

#[derive(Clone)]
struct Exchange {
    method: String,
    url: String,
    respond: Rc<Respond>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<RefCell<Scene>>>> = const { RefCell::new(None) };
}

/// What is done with the thread's installed host.
#[expect(clippy::panic, reason = "only tests call this, and only a test can install a host")]
fn current<T>(act: impl FnOnce(&mut Scene) -> T) -> T {
    let scene = CURRENT.with_borrow(Clone::clone);
    let Some(scene) = scene else {
        panic!("no host in this thread: start the test with `let host = Host::install();`");
    };
    let mut scene = scene.borrow_mut();
    act(&mut scene)
}

impl Host {
    /// A host without files, variables or grants, for a first login of the identity `default`
    /// mounted at `auth/test` on `https://vault.test:8200`, at 2026-01-01 00:00 UTC.
    #[must_use = "the host ends when this is dropped"]
    pub fn install() -> Self {
        let scene = Rc::new(RefCell::new(Scene {
            identity: "default".to_owned(),
            server_address: "https://vault.test:8200".to_owned(),
            namespace: String::new(),
            mount_path: "auth/test".to_owned(),
            reason: "login".to_owned(),
            previous_failure: None,
            state: Vec::new(),
            logs: Vec::new(),
            now: SystemTime::UNIX_EPOCH + Duration::from_hours(490_896),
            random: 0,
            env: BTreeMap::new(),
            files: BTreeMap::new(),
            failures: BTreeMap::new(),
            exchanges: Vec::new(),
            digest: None,
            sign: None,
            key_pairs: Vec::new(),
            kdc: None,
            requests: Vec::new(),
            wrapped: BTreeMap::new(),
            unwrapped: Vec::new(),
            grants: Grants::default(),
        }));
        CURRENT.set(Some(Rc::clone(&scene)));
        Self(scene)
    }

    /// Grants everything, for tests that call a host module without `prepare`.
    pub fn allow_everything(&self) {
        self.0.borrow_mut().grants = Grants::Everything;
    }

    /// Sets name of the identity, namespace and mount path.
    pub fn set_identity(&self, identity: &str, namespace: &str, mount_path: &str) {
        let mut scene = self.0.borrow_mut();
        identity.clone_into(&mut scene.identity);
        namespace.clone_into(&mut scene.namespace);
        mount_path.clone_into(&mut scene.mount_path);
    }

    /// Sets why the host calls: `login`, `check`, `explain`, `deliver`, `test`.
    pub fn set_reason(&self, reason: &str) {
        reason.clone_into(&mut self.0.borrow_mut().reason);
    }

    /// Sets what went wrong last time.
    pub fn set_previous_failure(&self, failure: Option<Failure>) {
        self.0.borrow_mut().previous_failure = failure;
    }

    /// What the plug-in saved last.
    pub fn state(&self) -> Vec<u8> {
        self.0.borrow().state.clone()
    }

    /// Replaces what the plug-in saved.
    pub fn set_state(&self, state: &[u8]) {
        state.clone_into(&mut self.0.borrow_mut().state);
    }

    /// Every line logged so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.0.borrow().logs.clone()
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        self.0.borrow_mut().now += time;
    }

    /// Sets an environment variable.
    pub fn set_env(&self, name: &str, value: &str) {
        self.0.borrow_mut().env.insert(name.to_owned(), value.to_owned());
    }

    /// Puts a file there, mode 0600.
    pub fn put_file(&self, path: &str, content: impl Into<Vec<u8>>) {
        let file = File {
            content: content.into(),
            mode: 0o600,
            owner: None,
            group: None,
            placement: Placement::Replace,
        };
        let mut scene = self.0.borrow_mut();
        let path = scene.absolute(path);
        scene.files.insert(path, file);
    }

    /// Takes a file away.
    pub fn delete_file(&self, path: &str) {
        let mut scene = self.0.borrow_mut();
        let path = scene.absolute(path);
        scene.files.remove(&path);
    }

    /// The file, if it is there.
    pub fn file(&self, path: &str) -> Option<File> {
        let scene = self.0.borrow();
        scene.files.get(&scene.absolute(path)).cloned()
    }

    /// Makes an operation fail from now on. `target` is a path, a variable, a token, or empty
    /// for [`Operation::Save`].
    pub fn fail(&self, operation: Operation, target: &str, failure: Failure) {
        let mut scene = self.0.borrow_mut();
        let target = scene.target(operation, target);
        scene.failures.insert((operation, target), failure);
    }

    /// Makes it work again.
    pub fn heal(&self, operation: Operation, target: &str) {
        let mut scene = self.0.borrow_mut();
        let target = scene.target(operation, target);
        scene.failures.remove(&(operation, target));
    }

    /// Answers each request of this method and URL, which with `?` at its end stands for any query;
    /// the answer set last counts. Other requests fail as `http.connect`.
    pub fn answer_http(
        &self,
        method: &str,
        url: &str,
        respond: impl Fn(&Request) -> Result<Response, Failure> + 'static,
    ) {
        let (method, url) = (method.to_owned(), url.to_owned());
        self.0.borrow_mut().exchanges.push(Exchange { method, url, respond: Rc::new(respond) });
    }

    /// Makes [`crate::crypto::digest`] answer what this makes of algorithm and data.
    pub fn digest_with(&self, digest: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Failure> + 'static) {
        self.0.borrow_mut().digest = Some(Rc::new(digest));
    }

    /// Makes [`crate::crypto::generate`] answer these, one after the other, whatever the algorithm.
    pub fn generate_these(&self, key_pairs: impl IntoIterator<Item = KeyPair>) {
        self.0.borrow_mut().key_pairs.extend(key_pairs);
    }

    /// Makes [`crate::crypto::sign`] answer what this makes of algorithm, key and data.
    pub fn sign_with(
        &self,
        sign: impl Fn(&str, &str, &[u8]) -> Result<Vec<u8>, Failure> + 'static,
    ) {
        self.0.borrow_mut().sign = Some(Rc::new(sign));
    }

    /// Makes [`crate::kdc::exchange`] answer what this makes of realm and request.
    pub fn answer_kdc(&self, answer: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Failure> + 'static) {
        self.0.borrow_mut().kdc = Some(Rc::new(answer));
    }

    /// Every request sent so far, answered or not.
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// Makes a wrapping token: what [`crate::server::unwrap`] gives for it, once.
    pub fn wrap(&self, token: &str, creation_path: &str, answer: Value) {
        let wrapped = (creation_path.to_owned(), answer);
        self.0.borrow_mut().wrapped.insert(token.to_owned(), wrapped);
    }

    /// The tokens that were offered for unwrapping so far, in order, good or not.
    pub fn unwrapped(&self) -> Vec<String> {
        self.0.borrow().unwrapped.clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| {
            if current.as_ref().is_some_and(|scene| Rc::ptr_eq(scene, &self.0)) {
                *current = None;
            }
        });
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Host").finish_non_exhaustive()
    }
}

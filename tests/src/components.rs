//! Auth methods in WebAssembly text, made for a test in milliseconds.

use std::fmt::Write as _;

use serde_json::Value;

use crate::plugins::encode;

/// A method that logs in with a fixed body. Made into a component by [`Method::build`].
#[derive(Clone, Debug)]
pub struct Method {
    body: String,
    version: String,
    attributes: Vec<(String, String)>,
    needs: Vec<(String, String)>,
    revision: Revision,
    check_after: Option<u32>,
    kilobytes: usize,
    more: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Revision {
    Unknown,
    NewEachTime,
}

impl Method {
    /// A method that answers with this JSON object below the mount path's "login".
    pub fn new(body: &Value) -> Self {
        Self {
            body: body.to_string(),
            version: "1.0.0".into(),
            attributes: Vec::new(),
            needs: Vec::new(),
            revision: Revision::Unknown,
            check_after: None,
            kilobytes: 0,
            more: "",
        }
    }

    /// It says that it has this version.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// It needs this for every configuration.
    #[must_use]
    pub fn needs(mut self, capability: &str, target: &str) -> Self {
        self.needs.push((capability.into(), target.into()));
        self
    }

    /// It says this of itself.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// It has a new credential each time.
    #[must_use]
    pub fn with_a_new_credential_each_time(mut self) -> Self {
        self.revision = Revision::NewEachTime;
        self
    }

    /// It has a new credential each time, and wants to be looked at again after so many
    /// milliseconds: so the agent logs in that often.
    #[must_use]
    pub fn logs_in_every(mut self, milliseconds: u32) -> Self {
        self.check_after = Some(milliseconds);
        self.with_a_new_credential_each_time()
    }

    /// About so large, most of it code that isn't called.
    #[must_use]
    pub fn kilobytes(mut self, kilobytes: usize) -> Self {
        self.kilobytes = kilobytes;
        self
    }

    /// Traps when it is asked to describe itself.
    #[must_use]
    pub fn that_traps_at_its_start(mut self) -> Self {
        self.more = "unreachable";
        self
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        encode(&self.text(), "auth-method-plugin")
    }

    /// The core module inside, which is no component.
    pub fn build_module(&self) -> Vec<u8> {
        wat::parse_str(self.text()).expect("well-formed WebAssembly text")
    }

    /// Against the canonical ABI: each record lies at a fixed place, filled in when asked for.
    fn text(&self) -> String {
        let mut data = Data::default();
        let name = data.text("made");
        let version = data.text(&self.version);
        let path = data.text("login");
        let body = data.text(&self.body);
        let needs = data.pairs(&self.needs);
        let attributes = data.pairs(&self.attributes);
        // info: name, version, summary, config-schema, attributes.
        let info = data.words(&[name, version, [0, 0], [0, 0], attributes].concat());
        // result<list<need>, failure>
        let prepared = data.words(&[0, needs[0], needs[1]]);
        // result<answer, failure> with a login; the revision is eight bytes at 8.
        let check = self.check_after.map_or([0, 0], |after| [1, after]);
        let revision = match self.revision {
            Revision::Unknown => [0, 0],
            Revision::NewEachTime => [8, 8],
        };
        let mut answer = vec![0, 0];
        answer.extend([path, body, [0, 0]].concat());
        answer.extend([0; 8]);
        answer.extend([revision, check].concat());
        let answer = data.words(&answer);
        let done = data.words(&[0; 8]);
        let mut padding = String::new();
        for number in 0..self.kilobytes * 1024 / PADDING_BYTES {
            write!(padding, "(func (param i64) (result i64)").expect("text");
            for step in 0..PADDING_STEPS {
                let constant = number * PADDING_STEPS + step + 0x1000_0000;
                write!(padding, "(i64.xor (i64.mul (local.get 0) (i64.const {constant}))")
                    .expect("text");
            }
            padding.push_str("(local.get 0)");
            padding.push_str(&")".repeat(PADDING_STEPS + 1));
        }
        let more = self.more;
        format!(
            r#"(module
                 (import "usher:plugin/clock@0.1.0" "now" (func $now (result i64)))
                 (memory (export "memory") 2)
                 (global $next (mut i32) (i32.const 65536))
                 {data}
                 (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                   (local $at i32)
                   (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                   (global.set $next (i32.add (local.get $at) (local.get 3)))
                   (local.get $at))
                 (func (export "usher:plugin/plugin@0.1.0#describe") (result i32)
                   {more} (i32.const {info}))
                 (func (export "usher:plugin/plugin@0.1.0#prepare") (param i32 i32) (result i32)
                   (i32.const {prepared}))
                 (func (export "usher:plugin/auth-method@0.1.0#authenticate")
                   (param i32 i32) (result i32) (local $time i64)
                   ;; The time's lowest half-bytes, each as one of the letters from "@" to "O".
                   (local.set $time (call $now))
                   {letters}
                   (i32.const {answer}))
                 (func (export "usher:plugin/auth-method@0.1.0#authenticated")
                   (param i32 i32) (result i32)
                   (i32.const {done}))
                 {padding})"#,
            data = data.segments,
            letters = (0..8).fold(String::new(), |text, index| {
                text + &format!(
                    "(i32.store8 (i32.const {}) (i32.or (i32.const 64) (i32.wrap_i64 (i64.and (i64.shr_u (local.get $time) (i64.const {})) (i64.const 15)))))",
                    8 + index,
                    4 * index
                )
            }),
        )
    }
}

/// Bytes of code that one function of padding takes, about.
const PADDING_BYTES: usize = 1000;
/// Each takes ten bytes.
const PADDING_STEPS: usize = 100;

/// Data of a module, one piece after the other.
struct Data {
    segments: String,
    next: u32,
}

impl Default for Data {
    fn default() -> Self {
        Self { segments: String::new(), next: 1024 }
    }
}

impl Data {
    /// Address and length of a text.
    fn text(&mut self, text: &str) -> [u32; 2] {
        let at = self.place(text.as_bytes());
        [at, u32::try_from(text.len()).expect("a short text")]
    }

    /// Address and length of a list of pairs of texts.
    fn pairs(&mut self, pairs: &[(String, String)]) -> [u32; 2] {
        let words: Vec<u32> = pairs
            .iter()
            .flat_map(|(first, second)| [self.text(first), self.text(second)].concat())
            .collect();
        let at = self.words(&words);
        [at, u32::try_from(pairs.len()).expect("a few")]
    }

    /// The address of these words.
    fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.place(&bytes)
    }

    fn place(&mut self, bytes: &[u8]) -> u32 {
        let at = self.next.next_multiple_of(8);
        write!(self.segments, "(data (i32.const {at}) \"").expect("text");
        for byte in bytes {
            write!(self.segments, "\\{byte:02x}").expect("text");
        }
        self.segments.push_str("\")");
        self.next = at + u32::try_from(bytes.len()).expect("a few bytes");
        assert!(self.next < 65_536, "the data fits below the heap");
        at
    }
}

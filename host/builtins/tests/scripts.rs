//! Scripts in the real script component: what they have, and what becomes of their mistakes.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use usher_engine::{
    Allow, Call, Capability, Compiler, Credential, Delivery, Digest, Engine, Failure, FailureKind,
    Form, Found, Kind, Limits, LoadError, Plugin, Protected, Reason, Use,
};
use usher_secret::Secret;

const DESCRIBE: &str = r#"describe() {
    return { name: "probe", version: "1.0.0", summary: "Probes", configSchema: "", attributes: [["licence", "MIT"]] };
  }"#;

/// A method whose `prepare` answers what `expression` is.
fn probe(expression: &str) -> String {
    format!(
        r#"export const plugin = {{
  {DESCRIBE},
  prepare(config) {{
    return [{{ capability: "answer", target: String({expression}) }}];
  }},
}};
export const authMethod = {{ authenticate() {{}}, authenticated() {{}} }};
"#
    )
}

/// A method whose `authenticate` has this body; `prepare` asks for what is in `needs`.
fn method(imports: &str, needs: &str, body: &str) -> String {
    format!(
        r"{imports}
export const plugin = {{
  {DESCRIBE},
  prepare() {{ return {needs}; }},
}};
export const authMethod = {{
  authenticate(config) {{
    {body}
  }},
  authenticated() {{}},
}};
"
    )
}

/// A sink whose `deliver` has this body.
fn sink(imports: &str, body: &str) -> String {
    format!(
        r"{imports}
export const plugin = {{
  {DESCRIBE},
  prepare() {{ return []; }},
}};
export const sink = {{ check() {{}}, deliver(config, delivery) {{ {body} }}, withdraw() {{}} }};
"
    )
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn engine() -> Engine {
    Engine::new(Protected::default()).unwrap().with_built_ins(usher_builtins::built_ins())
}

async fn load(engine: &Engine, text: &str) -> Result<Arc<Plugin>, LoadError> {
    let found = Found {
        name: "acme".into(),
        path: "/plugins/acme.js".into(),
        bytes: text.into(),
        digest: Digest::of(text.as_bytes()),
    };
    // A script is never compiled: this program would fail.
    let compiler = Compiler {
        program: "/bin/false".into(),
        arguments: Vec::new(),
        cache: None,
        announce: |_| (),
    };
    engine.load_file(&found, &compiler).await
}

/// What an expression is, in a script.
#[track_caller]
fn evaluate(expression: &str) -> String {
    run(async {
        let plugin = load(&engine(), &probe(expression)).await.unwrap();
        let needs = plugin.prepare("{}", &Limits::default()).await;
        needs.unwrap_or_else(|error| panic!("{expression}: {error}"))[0].1.clone()
    })
}

/// Why `prepare` fails when it evaluates an expression.
#[track_caller]
fn refusal(expression: &str) -> String {
    run(async {
        let plugin = load(&engine(), &probe(expression)).await.unwrap();
        plugin.prepare("{}", &Limits::default()).await.unwrap_err().to_string()
    })
}

fn load_error(text: &str) -> String {
    run(async { load(&engine(), text).await.err().expect("an error").to_string() })
}

fn usage(limits: Limits, allow: Allow) -> Use {
    Use {
        name: "default/method".into(),
        identity: "default".into(),
        server_address: "http://127.0.0.1:8200".into(),
        namespace: "team/".into(),
        mount_path: "auth/acme".into(),
        config: "{}".into(),
        allow,
        limits,
        unwrapper: None,
        state_keeper: None,
    }
}

fn call() -> Call {
    let previous_failure = Some(
        Failure::new(FailureKind::Denied, "acme.before", "it was before").detail("status", "403"),
    );
    Call { reason: Reason::Login, previous_failure }
}

/// What a method's `authenticate` answers, as login body, or how it fails.
fn authenticate(text: &str, allow: Allow, limits: Limits) -> Result<String, Failure> {
    run(async {
        let engine = engine();
        let plugin = load(&engine, text).await.unwrap();
        let method = engine.auth_method(&plugin, usage(limits, allow)).await.unwrap();
        let answer = method.authenticate(call()).await?;
        match answer.credential {
            Credential::Login(login) => Ok(login.body.expose().clone()),
            Credential::Token(_) => panic!("a token"),
        }
    })
}

fn fails(body: &str) -> Failure {
    authenticate(&method("", "[]", body), Allow::default(), Limits::default()).unwrap_err()
}

const LOGIN: &str = r#"return {
      credential: { tag: "login", val: { path: "login", body: JSON.stringify(body), headers: [["x-a", "b"]] } },
      revision: "7",
      checkAfterMs: 1500,
    };"#;

#[test]
fn a_script_is_the_method_or_the_sink_that_it_exports() {
    run(async {
        let engine = engine();
        let text = probe("1");
        let plugin = load(&engine, &text).await.unwrap();
        assert_eq!((plugin.kind, plugin.name.as_str()), (Kind::AuthMethod, "acme"));
        assert_eq!(plugin.digest, Digest::of(text.as_bytes()).to_string());
        assert_eq!(plugin.info.attributes, [("licence".to_owned(), "MIT".to_owned())]);
        assert!(plugin.imports.is_empty(), "{:?}", plugin.imports);
        let text = sink(r#"import { load } from "usher:plugin/state@0.1.0";"#, "load();");
        let plugin = load(&engine, &text).await.unwrap();
        assert_eq!(plugin.kind, Kind::Sink);
        assert_eq!(plugin.imports, ["usher:plugin/state@0.1.0"]);
        let refused = engine.auth_method(&plugin, usage(Limits::default(), Allow::default())).await;
        assert!(matches!(refused, Err(LoadError::Kind { .. })));
    });
}

#[test]
fn a_script_that_exports_too_little_or_too_much_says_what() {
    for (text, expected) in [
        ("export const plugin = {};".to_owned(), "neither authMethod nor sink"),
        (format!("{}export const sink = {{}};", probe("1")), "both authMethod and sink"),
        ("export const authMethod = {};".to_owned(), "plugin.describe"),
        (probe("1").replace("authenticated() {}", ""), "authMethod.authenticated"),
    ] {
        let error = load_error(&text);
        assert!(error.contains("acme.js") && error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_method_logs_in_for_a_new_credential_unless_it_says_otherwise() {
    let describing =
        |attributes: &str| method("", "[]", "").replace(r#"[["licence", "MIT"]]"#, attributes);
    for (attributes, expected) in [
        ("[]", true),
        (r#"[["licence", "MIT"]]"#, true),
        (r#"[["reauthenticate", "yes"]]"#, true),
        (r#"[["licence", "MIT"], ["reauthenticate", "no"]]"#, false),
        (r#"[["re-authenticate", "no"]]"#, true),
    ] {
        run(async {
            let engine = engine();
            let plugin = load(&engine, &describing(attributes)).await.unwrap();
            assert_eq!(plugin.info.reauthenticates(), expected, "{attributes}");
            let usage = usage(Limits::default(), Allow::default());
            let method = engine.auth_method(&plugin, usage).await.unwrap();
            assert_eq!(method.reauthenticates(), expected, "{attributes}");
        });
    }
    for value in ["false", "No", ""] {
        let error = load_error(&describing(&format!(r#"[["reauthenticate", "{value}"]]"#)));
        let expected = format!(
            r#"its attribute "reauthenticate" is "{value}"; write "yes" or "no" (plugin.attribute)"#
        );
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn another_version_of_a_method_may_see_a_new_credential_differently() {
    run(async {
        let engine = engine();
        let text = method("", "[]", "");
        let one = load(&engine, &text).await.unwrap();
        let usage = usage(Limits::default(), Allow::default());
        let method = engine.auth_method(&one, usage).await.unwrap();
        assert!(method.reauthenticates());
        let other = text.replace(r#""licence", "MIT""#, r#""reauthenticate", "no""#);
        let other = load(&engine, &other).await.unwrap();
        assert_eq!(engine.replace(&other).await.unwrap(), 1);
        assert!(!method.reauthenticates());
    });
}

#[test]
fn what_a_script_wrote_last_stands_in_its_error_and_in_no_failure_of_its_own_words() {
    let wrote = r#"console.log("\u001b[31mone\u001b[0m"); console.debug("two\nthree");"#;
    let failure = fails(&format!(r#"{wrote} throw new Error("boom");"#));
    assert_eq!(failure.last_lines[..], ["one", "two", "three"]);
    let shown = failure.to_string();
    assert!(shown.ends_with("(script.error); it last wrote:\n  one\n  two\n  three"), "{shown}");

    let refusal = r#"throw { kind: "denied", code: "acme.no", message: "no", details: [] };"#;
    let failure = fails(&format!("{wrote} {refusal}"));
    assert_eq!(failure.to_string(), "no (acme.no)");
}

#[test]
fn a_script_that_never_ends_says_what_it_wrote_last() {
    let limits = Limits { method_timeout: Duration::from_millis(500), ..Limits::default() };
    let text = method("", "[]", "for (let i = 0; ; i++) if (i < 30) console.log(`step ${i}`);");
    let failure = authenticate(&text, Allow::default(), limits).unwrap_err();
    assert_eq!(failure.code, "plugin.timeout");
    assert_eq!(failure.last_lines.len(), 20);
    assert_eq!(failure.last_lines[19], "step 29");
}

#[test]
fn a_script_that_fails_before_its_first_call_says_what_it_wrote_last() {
    let error =
        load_error(&probe("1").replace("return {", r#"console.warn("on the way"); throw {"#));
    assert!(error.contains("it last wrote:\n  on the way"), "{error}");
    let error = refusal(r#"console.log("on the way") ?? nowhere"#);
    assert!(error.contains("it last wrote:\n  on the way"), "{error}");
}

/// What a script does with `answer` of a login service, and with `text`, its body.
fn with_answer(headers: &str, body: &str, then: &str) -> Failure {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let service = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let mut allow = Allow::default();
    allow.0.insert(Capability::Connect, vec![origin.clone()]);
    let text = method(
        r#"import { send } from "usher:plugin/http@0.1.0";"#,
        &format!(r#"[{{ capability: "connect", target: "{origin}" }}]"#),
        &format!(
            r#"const answer = send({{ method: "GET", url: "{origin}/token", headers: [], body: new Uint8Array() }});
            const text = new TextDecoder().decode(answer.body);
            {then}"#
        ),
    );
    let limits = Limits { method_timeout: Duration::from_secs(1), ..Limits::default() };
    let failure = authenticate(&text, allow, limits).unwrap_err();
    service.join().unwrap();
    failure
}

#[test]
fn a_token_that_a_script_got_over_http_stands_in_none_of_its_failures() {
    const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzY3JpcHQifQ.c2lnbmF0dXJlLW9mLWEtc2NyaXB0";
    let json = r#"{"access_token":"opaque-of-a-script","expires_in":60}"#;
    for (headers, body, secret) in [
        ("", json, "opaque-of-a-script"),
        ("", JWT, JWT),
        ("x-vault-token: header-of-a-script\r\n", "{}", "header-of-a-script"),
        ("set-cookie: session=cookie-of-a-script; Path=/\r\n", "{}", "cookie-of-a-script"),
    ] {
        for then in [
            "throw new Error(`no use for ${text} ${answer.headers}`);",
            r#"throw { kind: "denied", code: "acme.no", message: `${text} ${answer.headers}`, details: [["a", text]] };"#,
            "console.log(text, `${answer.headers}`); throw new Error();",
            "console.log(text.split('').join('')); console.error(`${answer.headers}`); for (;;) {}",
        ] {
            let failure = with_answer(headers, body, then);
            let shown = format!("{failure} {:?}", failure.details);
            assert!(shown.contains("[redacted]"), "{then}: {shown}");
            assert!(!shown.contains(secret), "{then}: {shown}");
        }
    }
}

#[test]
fn a_script_answers_with_every_field_of_a_login() {
    run(async {
        let engine = engine();
        let text = method("", "[]", &format!("const body = {{ a: 1 }};\n{LOGIN}"));
        let plugin = load(&engine, &text).await.unwrap();
        let usage = usage(Limits::default(), Allow::default());
        let answer =
            engine.auth_method(&plugin, usage).await.unwrap().authenticate(call()).await.unwrap();
        assert_eq!(answer.revision, "7");
        assert_eq!(answer.check_after, Some(Duration::from_millis(1500)));
        let Credential::Login(login) = answer.credential else { panic!("a token") };
        assert_eq!(login.path, "login");
        assert_eq!(login.body.expose(), r#"{"a":1}"#);
        assert_eq!(login.headers, [("x-a".to_owned(), "b".to_owned())]);
        assert!(login.certificate.is_none() && login.ca_pem.is_none());
    });
}

#[test]
fn a_script_calls_the_interfaces_of_the_contract() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("in"), "content").unwrap();
    let home = home.path().display();
    let imports = r#"
import { now } from "usher:plugin/clock@0.1.0";
import * as context from "usher:plugin/context@0.1.0";
import { get } from "usher:plugin/env@0.1.0";
import { read, write, checkWrite, remove } from "usher:plugin/files@0.1.0";
import { bytes } from "usher:plugin/random@0.1.0";
import { load, save } from "usher:plugin/state@0.1.0";
import { write as log } from "usher:plugin/log";"#;
    let needs = format!(
        r#"[{{ capability: "read", target: "{home}/in" }}, {{ capability: "write", target: "{home}/out" }},
            {{ capability: "remove", target: "{home}/out" }}, {{ capability: "env", target: "USHER_TEST_UNSET" }}]"#
    );
    let body = format!(
        r#"
    save(new TextEncoder().encode("saved"));
    const options = {{ mode: 0o640, placement: "replace" }};
    checkWrite("{home}/out", options);
    write("{home}/out", read("{home}/in"), options);
    log("info", "written", [["to", "out"]]);
    const failure = context.previousFailure();
    let refused;
    try {{ read("/etc/hostname"); }} catch (error) {{ refused = [error instanceof Error, error.payload.kind, error.payload.code]; }}
    const body = {{
      now: typeof now(),
      seconds: Number(now() / 1000n),
      date: Date.now(),
      identity: context.identity(), server: context.serverAddress(), namespace: context.namespace(),
      mount: context.mountPath(), reason: context.reason(),
      failure: [failure.kind, failure.code, failure.message, failure.retryAfterMs === undefined, failure.details],
      unset: get("USHER_TEST_UNSET") === undefined,
      random: bytes(16).length,
      saved: new TextDecoder().decode(load()),
      refused,
      zone: new Date(0).getTimezoneOffset(),
      distinct: Math.random() !== Math.random(),
    }};
    {LOGIN}"#
    );
    let mut allow = Allow::default();
    for (capability, targets) in [
        (Capability::Read, vec![format!("{home}/in")]),
        (Capability::Write, vec![format!("{home}/out")]),
        (Capability::Remove, vec![format!("{home}/out")]),
        (Capability::Env, vec!["USHER_TEST_UNSET".to_owned()]),
    ] {
        allow.0.insert(capability, targets);
    }
    let text = method(imports, &needs, &body);
    let answer = authenticate(&text, allow, Limits::default()).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(answer["seconds"].as_u64().unwrap().abs_diff(seconds) < 600, "{answer}");
    assert!((answer["date"].as_u64().unwrap() / 1000).abs_diff(seconds) < 600, "{answer}");
    for (name, expected) in [
        ("now", serde_json::json!("bigint")),
        ("identity", "default".into()),
        ("server", "http://127.0.0.1:8200".into()),
        ("namespace", "team/".into()),
        ("mount", "auth/acme".into()),
        ("reason", "login".into()),
        (
            "failure",
            serde_json::json!([
                "denied",
                "acme.before",
                "it was before",
                true,
                [["status", "403"]]
            ]),
        ),
        ("unset", true.into()),
        ("random", 16.into()),
        ("saved", "saved".into()),
        ("refused", serde_json::json!([true, "config", "grant.missing"])),
        ("zone", 0.into()),
        ("distinct", true.into()),
    ] {
        assert_eq!(answer[name], expected, "{name}");
    }
    let written = Path::new(&home.to_string()).join("out");
    assert_eq!(fs::read(&written).unwrap(), b"content");
    assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_sink_receives_every_field_of_a_delivery() {
    run(async {
        let engine = engine();
        let text = sink(
            "",
            r#"throw { kind: "denied", code: "shown", message: [
                 delivery.content instanceof Uint8Array, String.fromCharCode(...delivery.content), delivery.form,
                 delivery.accessor, delivery.expiresAtMs === 1700000000000n, delivery.generation === 3n,
                 delivery.attributes.join(";"),
               ].join(" "), retryAfterMs: 250, details: [["a", "b"]] };"#,
        );
        let plugin = load(&engine, &text).await.unwrap();
        let sink = engine.sink(&plugin, usage(Limits::default(), Allow::default())).await.unwrap();
        sink.check(call()).await.unwrap();
        let delivery = Delivery {
            content: Secret::new(b"s.token".to_vec()),
            form: Form::Wrapped,
            accessor: "acc".into(),
            expires_at: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
            generation: 3,
            attributes: vec![("ttl-s".into(), "60".into())],
        };
        let failure = sink.deliver(call(), delivery).await.unwrap_err();
        assert_eq!(failure.message, "true s.token wrapped acc true true ttl-s,60");
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Denied, "shown"));
        assert_eq!(failure.retry_after, Some(Duration::from_millis(250)));
        assert_eq!(failure.details, [("a".to_owned(), "b".to_owned())]);
    });
}

#[test]
fn no_grant_gives_a_sink_what_only_methods_may() {
    let text = sink(
        r#"import { unwrap } from "usher:plugin/server@0.1.0";
           import { exchange } from "usher:plugin/kdc@0.1.0";"#,
        r#"const codes = [() => unwrap("token"), () => exchange("", "", new Uint8Array())].map((call) => {
             try { call(); return "allowed"; } catch (error) { return `${error.payload.kind} ${error.payload.code}`; }
           });
           throw { kind: "denied", code: "shown", message: codes.join(", "), details: [] };"#,
    )
    .replace(
        "prepare() { return []; }",
        r#"prepare() { return [{ capability: "server", target: "unwrap" }]; }"#,
    );
    run(async {
        let engine = engine();
        let plugin = load(&engine, &text).await.unwrap();
        let mut allow = Allow::default();
        allow.0.insert(Capability::Server, vec!["unwrap".into()]);
        let sink = engine.sink(&plugin, usage(Limits::default(), allow)).await.unwrap();
        let delivery = Delivery {
            content: Secret::new(Vec::new()),
            form: Form::Token,
            accessor: String::new(),
            expires_at: None,
            generation: 1,
            attributes: Vec::new(),
        };
        let failure = sink.deliver(call(), delivery).await.unwrap_err();
        assert_eq!(failure.message, "denied grant.missing, denied grant.missing");
    });
}

#[test]
fn a_thrown_failure_or_a_host_failure_thrown_on_is_the_answer() {
    let failure = fails(
        r#"throw { kind: "unavailable", code: "acme.busy", message: "busy", retryAfterMs: 100, details: [["a", "b"]] };"#,
    );
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Unavailable, "acme.busy"));
    assert_eq!(failure.retry_after, Some(Duration::from_millis(100)));
    let text = method(
        r#"import { read } from "usher:plugin/files@0.1.0";"#,
        "[]",
        r#"read("/etc/hostname");"#,
    );
    let failure = authenticate(&text, Allow::default(), Limits::default()).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Config, "grant.missing"));
    let failure = fails(r#"throw { kind: "broken", code: "a", message: "b", details: [] };"#);
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Internal, "script.answer"));
    assert!(failure.message.contains("kind of the thrown failure"), "{failure}");
}

#[test]
fn an_error_comes_with_file_line_and_stack() {
    let failure = fails("const token = (secret) => secret.trim();\n    token(undefined);");
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Internal, "script.error"));
    let message = &failure.message;
    // The text begins with an empty line: `authenticate` is in the ninth.
    assert!(message.starts_with("acme.js:10:"), "{message}");
    assert!(message.contains("TypeError"), "{message}");
    assert!(message.contains("token acme.js:10:"), "{message}");
    assert!(message.contains("authenticate acme.js:11:"), "{message}");
    let failure = fails("throw new Error('out of badges');");
    assert!(failure.message.starts_with("acme.js:10:"), "{failure}");
    assert!(failure.message.contains("Error: out of badges"), "{failure}");
}

#[test]
fn an_error_in_an_async_function_comes_with_file_and_line() {
    let text = method("", "[]", "await null;\n    throw new RangeError('late');")
        .replace("authenticate(config)", "async authenticate(config)");
    let failure = authenticate(&text, Allow::default(), Limits::default()).unwrap_err();
    assert!(failure.message.contains("acme.js:11:"), "{failure}");
    assert!(failure.message.contains("RangeError: late"), "{failure}");
}

#[test]
fn an_async_function_is_awaited() {
    let text =
        method("", "[]", &format!("const body = await Promise.resolve({{ a: 2 }});\n{LOGIN}"))
            .replace("authenticate(config)", "async authenticate(config)");
    let answer = authenticate(&text, Allow::default(), Limits::default()).unwrap();
    assert_eq!(answer, r#"{"a":2}"#);
    let text = method("", "[]", "await new Promise(() => {});")
        .replace("authenticate(config)", "async authenticate(config)");
    let failure = authenticate(&text, Allow::default(), Limits::default()).unwrap_err();
    assert!(failure.message.contains("nothing will ever settle"), "{failure}");
}

#[test]
fn a_script_that_does_not_parse_or_start_says_where() {
    let error = load_error("export const plugin = {\n  describe( {\n};\n");
    assert!(error.contains("acme.js:3:") && error.contains("SyntaxError"), "{error}");
    // What is missing is missed at the end.
    let error = load_error("export const plugin = {\n  describe() {\n\n");
    assert!(error.contains("acme.js:2:15: SyntaxError"), "{error}");
    let error = load_error("\nconst a = {};\na.b();\n");
    assert!(error.contains("acme.js:3:") && error.contains("TypeError"), "{error}");
    let error = load_error("import { read } from 'node:fs';\n");
    assert!(error.contains("node:fs") && error.contains("usher:plugin/"), "{error}");
    let error = load_error("import { nothing } from 'usher:plugin/files@0.1.0';\n");
    assert!(error.contains("nothing"), "{error}");
    let error = load_error(&probe("1").replace("return { name", "return { title"));
    assert!(error.contains("name of the answer of plugin.describe"), "{error}");
}

#[test]
fn an_answer_that_is_none_says_what_is_wrong_with_it() {
    for (answer, expected) in [
        ("undefined", "expected an object for the answer of authMethod.authenticate"),
        ("{ revision: '' }", "expected an object for credential"),
        ("{ credential: { tag: 'badge', val: 1 }, revision: '' }", "credential.tag"),
        ("{ credential: { tag: 'token', val: 1 }, revision: '' }", "expected a string"),
        (
            "{ credential: { tag: 'login', val: { path: 'login', body: '{}' } }, revision: '' }",
            "expected an array for headers",
        ),
    ] {
        let failure = fails(&format!("return {answer};"));
        assert_eq!(failure.kind, FailureKind::Internal, "{answer}");
        assert!(failure.message.contains(expected), "{answer}: {failure}");
    }
}

#[test]
fn loops_and_recursion_and_hunger_end_the_call_alone() {
    let limits = Limits { method_timeout: Duration::from_millis(500), ..Limits::default() };
    let looping = method("", "[]", "for (;;) {}");
    let failure = authenticate(&looping, Allow::default(), limits).unwrap_err();
    assert_eq!(failure.code, "plugin.timeout", "{failure}");

    let failure = fails("const again = () => again() + 1;\n    again();");
    assert_eq!(failure.kind, FailureKind::Internal);
    assert!(failure.message.contains("acme.js"), "{failure}");
    // Through functions of the engine, which need the machine's stack.
    let failure = fails("const again = () => [1].map(again);\n    again();");
    assert_eq!(failure.kind, FailureKind::Internal);

    let limits = Limits { memory: 32 << 20, ..Limits::default() };
    let hungry =
        method("", "[]", "const kept = [];\n for (;;) kept.push(new Uint8Array(1 << 20));");
    let failure = authenticate(&hungry, Allow::default(), limits).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Internal, "{failure}");
}

/// Reads the head of a request.
fn read_head(stream: &mut impl Read) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

/// Each with the memory limit that is usual: together five times what one plug-in may have.
#[test]
fn twenty_uses_of_one_script_log_in_at_once() {
    const USES: usize = 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    // Nobody is answered until all have asked.
    let service = std::thread::spawn(move || {
        let mut all: Vec<_> = (0..USES).map(|_| listener.accept().unwrap().0).collect();
        for stream in &mut all {
            read_head(stream);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            stream.write_all(answer).unwrap();
        }
    });
    let text = method(
        r#"import { send } from "usher:plugin/http@0.1.0";"#,
        &format!(r#"[{{ capability: "connect", target: "{origin}" }}]"#),
        &format!(
            r#"const answer = send({{ method: "GET", url: "{origin}/token", headers: [], body: new Uint8Array() }});
            const body = {{ status: answer.status }};
            {LOGIN}"#
        ),
    );
    let mut allow = Allow::default();
    allow.0.insert(Capability::Connect, vec![origin]);
    run(async {
        let engine = engine();
        let plugin = load(&engine, &text).await.unwrap();
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..USES {
            let name = format!("app-{number}/method");
            let usage = Use { name, ..usage(Limits::default(), allow.clone()) };
            let method = engine.auth_method(&plugin, usage).await.unwrap();
            calls.spawn(async move { method.authenticate(call()).await.map(|_| ()) });
        }
        while let Some(ended) = calls.join_next().await {
            ended.unwrap().unwrap();
        }
    });
    service.join().unwrap();
}

#[test]
fn a_login_has_no_more_secrets_than_the_host_keeps_out_of_its_log() {
    let many = |count: usize| {
        format!(
            r#"const texts = Array.from({{ length: {count} }}, (_, index) => "AAAAAA" + String(index).padStart(34, "0"));"#
        )
    };
    let login = |body: &str, headers: &str| {
        format!(
            r#"return {{ credential: {{ tag: "login", val: {{ path: "login", body: JSON.stringify({body}), headers: {headers} }} }}, revision: "" }};"#
        )
    };
    let flat = login("Object.fromEntries(texts.map((text, index) => [`k${index}`, text]))", "[]");
    let nested = login("{ deep: [[{ texts }]] }", "[]");
    let headers = login("{}", "texts.map((text) => [\"x-a\", text])");
    for (name, ending) in [("flat", flat), ("nested", nested), ("headers", headers)] {
        let failure = fails(&(many(65) + &ending));
        assert_eq!(
            (failure.kind, &*failure.code),
            (FailureKind::Internal, "limit.exceeded"),
            "{name}"
        );
        let body = method("", "[]", &(many(64) + &ending));
        authenticate(&body, Allow::default(), Limits::default()).unwrap();
    }
    let large = login("{ text: \"x\".repeat(1 << 20) }", "[]");
    assert_eq!(fails(&large).code, "limit.exceeded");
    // What the host keeps besides.
    let revision = r#"return { credential: { tag: "login", val: { path: "login", body: "{}", headers: [] } }, revision: "x".repeat(300000) };"#;
    assert_eq!(fails(revision).code, "limit.exceeded");
}

#[test]
fn a_plug_in_that_needs_or_describes_too_much_is_refused() {
    for needs in [
        r#"Array.from({ length: 257 }, (_, index) => ({ capability: "env", target: `A${index}` }))"#,
        r#"[{ capability: "read", target: "/" + "a".repeat(5000) }]"#,
    ] {
        let text = method("", needs, "");
        let failure = run(async {
            load(&engine(), &text)
                .await
                .unwrap()
                .prepare("{}", &Limits::default())
                .await
                .unwrap_err()
        });
        assert!(failure.to_string().contains("limit.exceeded"), "{failure}");
    }
    let text =
        method("", "[]", "").replace("configSchema: \"\"", "configSchema: \" \".repeat(200000)");
    assert!(load_error(&text).contains("limit.exceeded"));
}

/// A sink that needs to write this file.
fn sink_of(file: &Path) -> String {
    let needs = format!("return [{{ capability: \"write\", target: {:?} }}]", file.display());
    sink("", "").replace("return []", &needs)
}

fn use_of(identity: &str, role: &str, allow: Allow) -> Use {
    Use {
        name: format!("{identity}/{role}"),
        identity: identity.into(),
        ..usage(Limits::default(), allow)
    }
}

fn allowing(capability: Capability, target: String) -> Allow {
    Allow([(capability, vec![target])].into())
}

#[test]
fn the_first_sink_keeps_its_file_when_another_would_write_it() {
    let directory = tempfile::tempdir().unwrap();
    let (file, other) = (directory.path().join("token"), directory.path().join("other"));
    let within = || allowing(Capability::Write, format!("{}/*", directory.path().display()));
    run(async {
        let engine = engine();
        let good = load(&engine, &sink_of(&file)).await.unwrap();
        let _good = engine.sink(&good, use_of("good", "sink/0", within())).await.unwrap();
        let refused = engine.sink(&good, use_of("evil", "sink/0", within())).await.err().unwrap();
        assert!(matches!(&refused, LoadError::Taken { .. }), "{refused}");
        for words in ["good/sink/0", "evil/sink/0", "token"] {
            assert!(refused.to_string().contains(words), "{refused}");
        }
    });
    run(async {
        let engine = engine();
        let harmless = load(&engine, &sink_of(&other)).await.unwrap();
        let good = load(&engine, &sink_of(&file)).await.unwrap();
        let _evil = engine.sink(&harmless, use_of("evil", "sink/0", within())).await.unwrap();
        let found = good.name.clone();
        // Another plug-in of the same name takes all its uses, so the good one comes by a wait.
        let _waits = engine.awaited_sink(
            &found,
            use_of("good", "sink/0", within()),
            Failure::new(FailureKind::Config, "plugin.awaited", "not yet"),
        );
        let refused = engine.replace(&good).await.err().unwrap();
        assert!(matches!(&refused, LoadError::Taken { .. }), "two uses of one file: {refused}");
        assert!(Arc::ptr_eq(&engine.in_use(Kind::Sink, &found).unwrap(), &harmless));
    });
}

#[test]
fn while_identities_are_replaced_their_files_are_closed_to_what_is_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "s.token-of-the-good-identity").unwrap();
    let pattern = format!("{}/*", directory.path().display());
    let thief = method(
        r#"import { read } from "usher:plugin/files@0.1.0";"#,
        &format!("[{{ capability: \"read\", target: {pattern:?} }}]"),
        &format!("read({:?});\n    {}", file.display(), LOGIN.replace("body)", "{})")),
    );
    let within = || allowing(Capability::Write, pattern.clone());
    run(async {
        let engine = engine();
        let sink = load(&engine, &sink_of(&file)).await.unwrap();
        let thief = load(&engine, &thief).await.unwrap();
        let allow = allowing(Capability::Read, pattern.clone());
        let old = engine.sink(&sink, use_of("good", "sink/0", within())).await.unwrap();
        let in_force =
            engine.auth_method(&thief, use_of("evil", "method", allow.clone())).await.unwrap();
        let refused = async |when: &str, method: &Arc<dyn usher_engine::AuthMethod>| {
            let failure = method.authenticate(call()).await.err().unwrap();
            assert_eq!(failure.code, "grant.missing", "{when}: {failure}");
        };
        refused("before", &in_force).await;
        engine.leaving(vec!["good".into(), "evil".into()]);
        refused("during", &in_force).await;
        let with_it = engine.auth_method(&thief, use_of("evil", "method", allow)).await.unwrap();
        refused("of the same reload", &with_it).await;
        let new = engine.sink(&sink, use_of("good", "sink/0", within())).await.unwrap();
        drop(old);
        engine.leaving(Vec::new());
        refused("after", &with_it).await;
        drop(new);
        with_it.authenticate(call()).await.expect("nothing was written there by the agent");
    });
}

#[test]
fn nothing_that_a_script_leaves_behind_is_seen_by_its_next_call() {
    run(async {
        let engine = engine();
        let text = probe("(globalThis.count = (globalThis.count ?? 0) + 1)");
        let plugin = load(&engine, &text).await.unwrap();
        for _ in 0..2 {
            let needs = plugin.prepare("{}", &Limits::default()).await.unwrap();
            assert_eq!(needs[0].1, "1");
        }
    });
}

#[test]
fn a_text_is_encoded_and_decoded_as_utf_8() {
    for (expression, expected) in [
        ("new TextEncoder().encode('aé€😀').join()", "97,195,169,226,130,172,240,159,152,128"),
        ("new TextEncoder().encode('\\ud800').join()", "239,191,189"),
        ("new TextEncoder().encode().length", "0"),
        ("new TextEncoder().encoding", "utf-8"),
        (
            "(() => { const into = new Uint8Array(4); const done = new TextEncoder().encodeInto('aé€', into); return [done.read, done.written, into.join()]; })()",
            "2,3,97,195,169,0",
        ),
        ("new TextDecoder().decode(Uint8Array.of(226, 130, 172))", "€"),
        ("new TextDecoder().decode(Uint8Array.of(0xEF, 0xBB, 0xBF, 97))", "a"),
        (
            "new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.of(0xEF, 0xBB, 0xBF, 97)).length",
            "2",
        ),
        ("new TextDecoder().decode(Uint8Array.of(97, 255, 98))", "a\u{fffd}b"),
        ("new TextDecoder().decode(Uint8Array.of(1, 97, 98, 2).subarray(1, 3))", "ab"),
        ("new TextDecoder().decode(Uint8Array.of(97, 98).buffer)", "ab"),
        ("new TextDecoder().decode()", ""),
        // Each use finds the same class, however often it was used before.
        (
            "(() => { const text = () => new TextDecoder().decode(new TextEncoder().encode('x')); return text() + text() + new URL('a:b') + text(); })()",
            "xxa:bx",
        ),
        (
            "(() => { const decoder = new TextDecoder(); return decoder.decode(Uint8Array.of(226, 130), { stream: true }) + '|' + decoder.decode(Uint8Array.of(172)); })()",
            "|€",
        ),
    ] {
        assert_eq!(evaluate(expression), expected, "{expression}");
    }
    assert!(
        refusal("new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.of(255))")
            .contains("UTF-8")
    );
    assert!(refusal("new TextDecoder('utf-16le')").contains("utf-16le"));
}

#[test]
fn base64_is_that_of_browsers() {
    for (expression, expected) in [
        ("btoa('')", ""),
        ("btoa('a')", "YQ=="),
        ("btoa('\\xff\\x00')", "/wA="),
        ("atob('YQ==')", "a"),
        ("atob(' Y Q ')", "a"),
        ("atob('/wA=').charCodeAt(0)", "255"),
    ] {
        assert_eq!(evaluate(expression), expected, "{expression}");
    }
    for expression in ["btoa('€')", "atob('a')", "atob('YQ=')", "atob('Y*Q=')", "atob('====')"] {
        assert!(refusal(expression).contains("InvalidCharacterError"), "{expression}");
    }
}

#[test]
fn urls_are_those_of_the_standard() {
    for (expression, expected) in [
        (
            "new URL('https://user:pw@Example.org:8443/a/../b?x=1#y').href",
            "https://user:pw@example.org:8443/b?x=1#y",
        ),
        ("new URL('../c?z', 'https://example.org/a/b').href", "https://example.org/c?z"),
        ("new URL('https://example.org:443/').port", ""),
        ("new URL('https://example.org/x').origin", "https://example.org"),
        (
            "(() => { const u = new URL('https://a:b@example.org:8443/p?q#h'); return [u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash].join(' '); })()",
            "https: a b example.org:8443 example.org 8443 /p ?q #h",
        ),
        (
            "(() => { const u = new URL('https://example.org/'); u.pathname = '/a b'; u.search = 'x=1'; u.hash = 'h'; u.port = '99'; return u; })()",
            "https://example.org:99/a%20b?x=1#h",
        ),
        (
            "(() => { const u = new URL('https://example.org/?a=1'); u.searchParams.append('b', '2 3'); return u.href; })()",
            "https://example.org/?a=1&b=2+3",
        ),
        (
            "(() => { const u = new URL('https://example.org/?a=1'); const p = u.searchParams; u.search = '?c=4'; return p.get('c') + p.has('a'); })()",
            "4false",
        ),
        (
            "JSON.stringify({ u: new URL('https://example.org') })",
            "{\"u\":\"https://example.org/\"}",
        ),
        ("[URL.canParse('nothing'), URL.canParse('/x', 'https://a.org')]", "false,true"),
        ("URL.parse('nothing')", "null"),
        ("new URLSearchParams('?a=1&a=2&b=%20+x').getAll('a')", "1,2"),
        ("new URLSearchParams('a=1&b=%20+x').get('b').length", "3"),
        ("new URLSearchParams({ a: '1', b: 'ä&' })", "a=1&b=%C3%A4%26"),
        ("new URLSearchParams([['x', 'y'], ['x', 'z']])", "x=y&x=z"),
        (
            "(() => { const p = new URLSearchParams('b=1&a=2&b=3'); p.set('b', '9'); p.sort(); return p; })()",
            "a=2&b=9",
        ),
        (
            "(() => { const p = new URLSearchParams('b=1&a=2&b=3'); p.delete('b', '3'); return [p, p.size, [...p.keys()].join()]; })()",
            "b=1&a=2,2,b,a",
        ),
        ("new URLSearchParams('a=1').get('b')", "null"),
        ("[...new URLSearchParams('a=1&b=2')].flat()", "a,1,b,2"),
    ] {
        assert_eq!(evaluate(expression), expected, "{expression}");
    }
    let refused = refusal("new URL('no url with hunter2')");
    assert!(refused.contains("TypeError") && !refused.contains("hunter2"), "{refused}");
}

/// Each instance starts with the memory that one had when the program was built.
#[test]
fn no_two_calls_have_the_same_random_values() {
    for expression in ["Math.random()", "crypto.randomUUID()"] {
        let values: BTreeSet<String> = (0..3).map(|_| evaluate(expression)).collect();
        assert_eq!(values.len(), 3, "{expression}: {values:?}");
    }
}

#[test]
fn random_values_fill_arrays_of_integers() {
    for (expression, expected) in [
        ("crypto.getRandomValues(new Uint8Array(32)).some((byte) => byte !== 0)", "true"),
        ("crypto.getRandomValues(new Uint32Array(8)) instanceof Uint32Array", "true"),
        (
            "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())",
            "true",
        ),
        ("crypto.randomUUID() !== crypto.randomUUID()", "true"),
    ] {
        assert_eq!(evaluate(expression), expected, "{expression}");
    }
    assert!(refusal("crypto.getRandomValues(new Float64Array(1))").contains("integers"));
    assert!(refusal("crypto.getRandomValues(new Uint8Array(65537))").contains("65,536"));
}

#[test]
fn the_globals_are_properties_like_others() {
    for (expression, expected) in [
        ("typeof console.log + typeof console.error", "functionfunction"),
        ("Object.keys(globalThis).includes('URL')", "false"),
        ("(() => { globalThis.atob = () => 'mine'; return atob('x'); })()", "mine"),
        (
            "(() => { console.log('a', 1, 2n, { b: [1n] }, null, undefined, Symbol('s'), new Error('e')); return 'logged'; })()",
            "logged",
        ),
    ] {
        assert_eq!(evaluate(expression), expected, "{expression}");
    }
}

#[test]
fn a_script_that_is_no_text_is_refused() {
    let found = Found {
        name: "acme".into(),
        path: "/plugins/acme.js".into(),
        bytes: vec![b'/', b'/', 0xff],
        digest: Digest::of(b""),
    };
    let compiler = Compiler {
        program: "/bin/false".into(),
        arguments: Vec::new(),
        cache: None,
        announce: |_| (),
    };
    let error =
        run(async { engine().load_file(&found, &compiler).await.err().unwrap().to_string() });
    assert!(error.contains("UTF-8") && error.contains("byte 2"), "{error}");
}

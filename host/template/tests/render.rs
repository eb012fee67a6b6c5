//! What rendering promises besides the language: it never panics, ends within its budget, waits
//! for what is missing, and tells no secret.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use usher_template::{Answer, Budget, Options, Outcome, Query, Template, Values, render};

/// Answers some reads, and nothing else.
struct Store(BTreeMap<&'static str, &'static str>);

impl Values for Store {
    fn answer(&self, query: &Query) -> Answer<'_> {
        match query {
            Query::Read { path } => match self.0.get(path.as_str()) {
                Some(body) => Answer::Secret(body.as_bytes()),
                None => Answer::Missing,
            },
            _ => Answer::Missing,
        }
    }

    fn environment(&self, _: &str) -> Option<String> {
        None
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

fn store() -> Store {
    Store(BTreeMap::from([(
        "kv/app",
        r#"{"data":{"user":"marker-user","pin":"7","number":98765,"nested":{"key":"marker-nested"},"json":"{\"a\":marker-json}","list":["marker-item"]}}"#,
    )]))
}

fn rendered(source: &str) -> Outcome {
    match Template::parse(source.as_bytes(), &Options::default()) {
        Ok(template) => render(&template, &store(), Budget::default()),
        Err(failure) => Outcome::Failed(failure),
    }
}

fn failure(source: &str) -> String {
    match rendered(source) {
        Outcome::Failed(failure) => failure.to_string(),
        Outcome::Missing(_) => "missing".to_owned(),
        Outcome::Rendered(rendered) => {
            String::from_utf8_lossy(rendered.output.expose()).into_owned()
        }
    }
}

#[test]
fn no_message_tells_what_a_secret_holds() {
    for expression in [
        "parseInt .Data.user",
        "parseFloat .Data.user",
        "parseBool .Data.nested.key",
        "add 1 .Data.user",
        "add 1 .Data.number",
        "call .Data.user",
        "sprig_fail .Data.user",
        "sprig_fail (print \"it is \" .Data.nested.key)",
        "sprig_fail (.Data.user | toUpper)",
        "sprig_fail (.Data.list | toJSON)",
        "sprig_fail (.Data.user | base64Encode)",
        "range .Data.user}}{{end",
        "range .Data.number}}{{end",
        "base64Decode .Data.user",
        "parseJSON .Data.json",
        "parseYAML (print \"a: b: \" .Data.user)",
        "regexMatch (print \"(\" .Data.user) \"x\"",
        "secret \"p\" .Data.user",
        "explodeMap (sprig_dict \"a\" .Data.user \"a/b\" 1)",
        "sprig_mustToDate \"2006\" .Data.user",
        "sprig_urlParse (print \"http://h:\" .Data.user)",
        "sprig_mustDateModify .Data.user sprig_now",
        "sprig_semver .Data.user",
        "sprig_semverCompare .Data.user \"1.2.3\"",
        "executeTemplate .Data.user",
        "writeToFile \"f\" \"\" \"\" .Data.user \"x\"",
        "mustEnv .Data.user",
        "index .Data .Data.user 1 2",
        "printf .Data.user | sprig_fail",
    ] {
        let source = format!("{{{{with secret \"kv/app\"}}}}{{{{{expression}}}}}{{{{end}}}}");
        let message = failure(&source);
        assert!(message.starts_with("template: "), "{expression}: {message}");
        for marker in ["marker", "MARKER", "bWFya2Vy", "98765"] {
            assert!(!message.contains(marker), "{expression}: {message}");
        }
    }
}

#[test]
fn an_error_while_data_is_missing_is_no_failure() {
    for source in [
        "{{ (secret \"kv/other\").Data.x | toUpper }}",
        "{{ index (secrets \"kv\") 0 }}",
        "{{ secret \"kv/other\" | toJSON | sprig_fail }}",
        "{{ file \"f\" | parseInt | add \"x\" }}",
    ] {
        assert_eq!(failure(source), "missing", "{source}");
    }
}

#[test]
fn what_is_missing_is_told_at_once_as_far_as_it_is_known() {
    let Outcome::Missing(queries) = rendered(
        r#"{{ secret "/a/ " }}{{ secret "a" }}{{ secret "a" "k=v" }}{{ with secret "kv/app" }}{{ secret .Data.pin }}{{ end }}"#,
    ) else {
        panic!("nothing is missing");
    };
    assert_eq!(queries.len(), 3);
    assert!(queries.contains(&Query::Read { path: "a".to_owned() }));
    assert!(queries.contains(&Query::Read { path: "7".to_owned() }));
}

#[test]
fn a_change_to_a_secret_is_gone_with_the_pass() {
    let template = Template::parse(
        br#"{{ with secret "kv/app" }}{{ .Data.added }}{{ $_ := sprig_set .Data "added" "x" }}{{ end }}{{ (secret "kv/app").Data.added }}"#,
        &Options::default(),
    )
    .unwrap();
    for _ in 0..2 {
        let Outcome::Rendered(rendered) = render(&template, &store(), Budget::default()) else {
            panic!("not rendered");
        };
        assert_eq!(rendered.output.expose().as_slice(), b"<no value>x");
    }
}

#[test]
fn a_template_that_takes_too_much_is_stopped() {
    for (source, cause) in [
        ("{{ range loop 9000000000000000000 }}{{ end }}", "steps"),
        ("{{ define \"R\" }}{{ template \"R\" }}{{ end }}{{ template \"R\" }}", "depth"),
        (
            "{{ define \"R\" }}{{ executeTemplate \"R\" | len }}{{ end }}{{ template \"R\" }}",
            "depth",
        ),
        ("{{ $x := \"aaaaaaaa\" }}{{ range loop 60 }}{{ $x = print $x $x }}{{ end }}", "longer"),
        ("{{ range loop 60 }}{{ sprig_repeat 9000000 \"x\" }}{{ end }}", "longer"),
        ("{{ sprig_until 999999999999 }}", "steps"),
        ("{{ printf \"%999999d\" 1 | sprig_repeat 99 }}", "longer"),
        ("{{ range loop 1000 }}{{ sprig_bcrypt \"x\" }}{{ end }}", "steps"),
    ] {
        let message = failure(source);
        assert!(message.contains(cause), "{source}: {message}");
    }
    let template = Template::parse(b"{{ range loop 9000000 }}{{ end }}", &Options::default());
    let budget = Budget { time: Duration::ZERO, ..Budget::default() };
    let Outcome::Failed(failure) = render(&template.unwrap(), &store(), budget) else {
        panic!("not stopped");
    };
    assert!(failure.to_string().contains("longer than 0 seconds"), "{failure}");
}

#[test]
fn values_that_hold_themselves_or_nest_without_end_are_told_of() {
    for source in [
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ $d }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ $d | toJSON }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ $d | toYAML }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ $d | toTOML }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ sprig_deepCopy $d }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ sprig_deepEqual $d (sprig_dict \"d\" $d) }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ mergeMap $d $d }}",
        "{{ $d := sprig_dict }}{{ $_ := sprig_set $d \"d\" $d }}{{ spew_sdump $d }}",
        "{{ $l := sprig_list }}{{ range loop 100000 }}{{ $l = sprig_list $l }}{{ end }}{{ $l }}",
        "{{ $l := sprig_list }}{{ range loop 40 }}{{ $l = sprig_list $l $l }}{{ end }}{{ sprig_deepCopy $l }}",
        "{{ $l := sprig_list }}{{ range loop 40 }}{{ $l = sprig_list $l $l }}{{ end }}{{ $l | toJSON | len }}",
        "{{ $l := sprig_list }}{{ $k := sprig_list }}{{ range loop 40 }}{{ $l = sprig_list $l $l }}{{ $k = sprig_list $k $k }}{{ end }}{{ sprig_deepEqual $l $k }}",
        "{{ $l := sprig_dict }}{{ $k := sprig_dict }}{{ range loop 40 }}{{ $l = sprig_dict \"a\" $l \"b\" $l }}{{ $k = sprig_dict \"a\" $k \"b\" $k }}{{ end }}{{ mergeMap $l $k }}",
        "{{ $l := sprig_list }}{{ range loop 40 }}{{ $l = sprig_list $l $l }}{{ end }}{{ with secret \"kv/app\" }}{{ $_ := sprig_set .Data \"l\" $l }}{{ sprig_fail \"x\" }}{{ end }}",
    ] {
        // It ends; whether it is an error doesn't matter.
        failure(source);
    }
    let (ifs, ends) = ("{{ if 1 }}".repeat(150), "{{ end }}".repeat(150));
    let source = format!(
        "{{{{ define \"R\" }}}}{ifs}{{{{ template \"R\" }}}}{ends}{{{{ end }}}}{{{{ template \"R\" }}}}"
    );
    assert!(failure(&source).contains("levels deep"));
    let (open, close) = ("(print ".repeat(150), ")".repeat(150));
    let source = format!(
        "{{{{ define \"R\" }}}}{{{{ {open}(executeTemplate \"R\"){close} }}}}{{{{ end }}}}{{{{ template \"R\" }}}}"
    );
    assert!(failure(&source).contains("levels deep"));
    let deep = "(".repeat(100_000);
    assert!(failure(&format!("{{{{ {deep} }}}}")).contains("levels deep"));
    let deep = "{{ if 1 }}".repeat(100_000);
    assert!(failure(&deep).contains("levels deep"));
    let deep = format!("{{{{ `{}` | parseYAML }}}}", "[".repeat(10_000));
    assert!(failure(&deep).contains("parseYAML"));
}

#[test]
fn a_denied_function_is_refused_when_it_is_called() {
    let mut options = Options::default();
    options.function_denylist.insert("plugin".to_owned());
    let template = Template::parse(b"{{ plugin \"x\" }}", &options).unwrap();
    let Outcome::Failed(failure) = render(&template, &store(), Budget::default()) else {
        panic!("not refused");
    };
    assert_eq!(failure.message, "error calling plugin: function is disabled");
}

#[test]
fn a_failure_tells_line_and_column_in_characters() {
    let Err(failure) = Template::parse("é\néé {{ nope }}".as_bytes(), &Options::default())
    else {
        panic!("it is parsed");
    };
    assert_eq!((failure.line, failure.column), (2, 7));
}

/// Words that templates are made of, right and wrong.
const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    " ",
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "template",
    "block",
    "break",
    "continue",
    "nil",
    "true",
    ".",
    ".Data",
    ".nested",
    "$",
    "$x",
    ":=",
    "=",
    "|",
    "(",
    ")",
    ",",
    "\"a\"",
    "`b`",
    "'c'",
    "1",
    "-1",
    "2.5",
    "1i",
    "0x",
    "1e400",
    "é",
    "\u{0}",
    "/*",
    "*/",
    "print",
    "printf",
    "\"%5.2[3]*v%\"",
    "index",
    "slice",
    "len",
    "eq",
    "lt",
    "and",
    "or",
    "not",
    "html",
    "js",
    "urlquery",
    "secret",
    "\"kv/app\"",
    "secrets",
    "file",
    "scratch",
    ".Set",
    "toJSON",
    "toYAML",
    "toTOML",
    "parseJSON",
    "parseYAML",
    "split",
    "join",
    "loop",
    "add",
    "divide",
    "sprig_list",
    "sprig_dict",
    "sprig_set",
    "sprig_first",
    "sprig_substr",
    "sprig_trunc",
    "sprig_wrap",
    "sprig_abbrev",
    "sprig_abbrevboth",
    "sprig_round",
    "sprig_date",
    "sprig_now",
    "sprig_toDate",
    "sprig_duration",
    "sprig_dateModify",
    "sprig_semverCompare",
    "sprig_urlParse",
    "sprig_regexReplaceAll",
    "sprig_regexSplit",
    "sprig_splitn",
    "sprig_slice",
    "sprig_chunk",
    "sprig_snakecase",
    "sprig_title",
    "toTitle",
    "trim",
    "indent",
    "sprig_b32dec",
    "sprig_div",
    "sprig_mod",
    "sprig_add1",
    "9223372036854775807",
    "-9223372036854775808",
    "spew_sdump",
    "explodeMap",
    "mergeMap",
    "executeTemplate",
    "timestamp",
    "sprig_decryptAES",
    "sprig_mulf",
];

/// The same with the words of one action, so that more of them can be parsed.
fn action() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&WORDS[18..]), 1..7)
        .prop_map(|words| format!("{{{{ {} }}}}", words.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_template_makes_rendering_panic(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..25)
    ) {
        failure(&words.concat());
    }

    #[test]
    fn no_action_makes_rendering_panic(actions in proptest::collection::vec(action(), 1..4)) {
        failure(&actions.concat());
    }

    #[test]
    fn no_bytes_make_parsing_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let source = [b"{{ ", bytes.as_slice(), b" }}"].concat();
        let _ = Template::parse(&source, &Options::default());
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[-a:{}\\[\\]\"'>|&*!#% \n0-9.eT+]{0,40}") {
        let text = text.replace('\\', "").replace('"', "\\\"").replace('\n', "\\n");
        for function in ["parseYAML", "parseJSON", "regexMatch \"a\"", "sprig_toDate \"2006\"", "sprig_date \"2006\"", "sprig_durationRound", "sprig_urlParse", "sprig_semver", "regexMatch \"x\" | print", "toYAML", "sprig_toDate \"Jan _2 15:04:05.000 PM -0700 MST 2006\""] {
            failure(&format!("{{{{ \"{text}\" | {function} }}}}"));
        }
        failure(&format!("{{{{ regexMatch \"{text}\" \"aa\" }}}}"));
        failure(&format!("{{{{ printf \"%{text}\" 1 \"a\" 2.5 }}}}"));
        failure(&format!("{{{{ sprig_semverCompare \"{text}\" \"1.2.3\" }}}}"));
    }
}

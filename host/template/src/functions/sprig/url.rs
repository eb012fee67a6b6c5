//! URLs, taken apart and put together by Go's rules, which are older than those of browsers.

use std::fmt::Write as _;

use crate::function::Kind::{Dict, Text};
use crate::function::{Function, fixed};
use crate::quote::quote;
use crate::value::{Map, Str, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("sprig_urlParse", &[Text], |_, arguments| {
        let text = arguments.text(0);
        let url = parse(&text).map_err(|why| {
            let shown = quote(arguments.shown(0).as_bytes());
            format!("unable to parse url: parse {shown}: {why}")
        })?;
        let hostname = hostname(&url.host).to_owned();
        Ok(Value::dict([
            ("scheme", Value::string(url.scheme)),
            ("host", Value::string(url.host)),
            ("hostname", Value::string(hostname)),
            ("path", Value::string(url.path)),
            ("query", Value::string(url.query)),
            ("opaque", Value::string(url.opaque)),
            ("fragment", Value::string(url.fragment)),
            ("userinfo", Value::string(url.user)),
        ]))
    }),
    fixed("sprig_urlJoin", &[Dict], |_, arguments| Ok(Value::string(join(&arguments.map(0))))),
];

#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: String,
    host: String,
    path: Vec<u8>,
    query: String,
    fragment: Vec<u8>,
}

fn parse(text: &str) -> Result<Url, String> {
    let mut url = Url::default();
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    url.fragment = unescape(fragment)?;
    let (scheme, rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    query.clone_into(&mut url.query);
    let mut path = rest;
    if !rest.starts_with('/') && !url.scheme.is_empty() {
        rest.clone_into(&mut url.opaque);
        return Ok(url);
    }
    if let Some(authority) = rest.strip_prefix("//") {
        let end = authority.find('/').unwrap_or(authority.len());
        path = &authority[end..];
        let (user, host) = authority[..end].rsplit_once('@').unwrap_or(("", &authority[..end]));
        user.clone_into(&mut url.user);
        let port = host.rsplit_once(':').map(|(_, port)| port);
        let port = port.filter(|port| !port.ends_with(']'));
        if port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err("invalid port after host".to_owned());
        }
        url.host = String::from_utf8_lossy(&unescape(host)?).into_owned();
    }
    url.path = unescape(path)?;
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    match text.split_once(':') {
        Some(("", _)) => Err("missing protocol scheme".to_owned()),
        Some((scheme, rest))
            if scheme.starts_with(|char: char| char.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char)) =>
        {
            Ok((scheme, rest))
        }
        _ => Ok(("", text)),
    }
}

fn hostname(host: &str) -> &str {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.split(']').next().unwrap_or("");
    }
    host.split(':').next().unwrap_or("")
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next().unwrap_or(b'%'), bytes.next().unwrap_or(b'%')];
        let number = std::str::from_utf8(&digits).ok();
        let number = number.filter(|text| !text.starts_with('+'));
        match number.and_then(|text| u8::from_str_radix(text, 16).ok()) {
            Some(byte) => out.push(byte),
            None => return Err("invalid URL escape".to_owned()),
        }
    }
    Ok(out)
}

/// The bytes with `%XX` for all but letters, digits and these.
fn escape(bytes: &[u8], kept: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(byte) || kept.contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn join(parts: &Map) -> String {
    let part = |key: &str| match parts.get_text(key) {
        Some(Value::String(text)) => text,
        _ => Str::from(""),
    };
    let text = |key: &str| part(key).text().into_owned();
    let mut out = String::new();
    let (scheme, opaque, user, host) =
        (text("scheme"), text("opaque"), text("userinfo"), text("host"));
    if !scheme.is_empty() {
        let _ = write!(out, "{scheme}:");
    }
    if opaque.is_empty() {
        if !scheme.is_empty() || !host.is_empty() || !user.is_empty() {
            if !host.is_empty() || !user.is_empty() || part("path").bytes().starts_with(b"/") {
                out.push_str("//");
            }
            if !user.is_empty() {
                let _ = write!(out, "{user}@");
            }
            out.push_str(&host);
        }
        let path = escape(part("path").bytes(), b"");
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        out.push_str(&path);
    } else {
        out.push_str(&opaque);
    }
    let query = text("query");
    if !query.is_empty() {
        let _ = write!(out, "?{query}");
    }
    let fragment = escape(part("fragment").bytes(), b"?!()*");
    if !fragment.is_empty() {
        let _ = write!(out, "#{fragment}");
    }
    out
}

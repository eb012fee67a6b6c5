//! What a guest writes in one call: debug lines in the agent's log, and the last lines of all for
//! the failure that ends the call.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::limits::MOST_LOG_LINES;
use crate::text;

/// Of a longer line the rest is dropped: this is far more than is shown of one, so that no secret
/// escapes the redactor in two halves.
const LONGEST_LINE: usize = 64 << 10;
/// Bytes that are kept for a failure, at least, and twice as many at most: the last lines of a
/// secret are only known as such together with its first ones.
const MOST_KEPT_BYTES: usize = 64 << 10;
/// Lines that a failure shows of them.
const MOST_LINES: usize = 20;
/// Bytes that a failure shows of them.
const MOST_SHOWN: usize = 4096;

/// All that one call writes: through its own log, and to standard output and error.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Lines>>);

/// Standard output or error of one call.
#[derive(Clone)]
pub(crate) struct Stream {
    output: Output,
    channel: Channel,
}

#[derive(Clone, Copy)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
}

struct Lines {
    plugin: String,
    identity: Option<String>,
    unfinished: [Unfinished; 2],
    /// As they were written, the newest last, each with its end.
    kept: String,
}

struct Unfinished {
    stream: &'static str,
    line: Vec<u8>,
    left: u32,
}

impl Output {
    pub(crate) fn new(plugin: String, identity: Option<String>) -> Self {
        let unfinished = ["stdout", "stderr"].map(|stream| Unfinished {
            stream,
            line: Vec::new(),
            left: MOST_LOG_LINES,
        });
        Self(Arc::new(Mutex::new(Lines { plugin, identity, unfinished, kept: String::new() })))
    }

    pub(crate) fn stream(&self, channel: Channel) -> Stream {
        Stream { output: self.clone(), channel }
    }

    /// Takes note of what the plug-in writes to its own log.
    pub(crate) fn note(&self, message: &str, fields: &[(String, String)]) {
        let mut text = head(message).to_owned();
        for (name, value) in fields {
            if text.len() + name.len() + value.len() > LONGEST_LINE {
                break;
            }
            let _ = write!(text, " {name}={value}");
        }
        self.lines().keep(&text);
    }

    /// The last lines, fit for a failure: without escape sequences and live secrets.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.finish_last();
        let all: Vec<String> = lines.kept.split('\n').map(text::without_escapes).collect();
        // As one text: a key is a secret of many lines.
        let all = text::redacted(&all.join("\n"));
        let mut shown: Vec<String> = Vec::new();
        let mut bytes = 0;
        let last = all.lines().rev().map(str::trim_end).filter(|line| !line.is_empty());
        for line in last.take(MOST_LINES) {
            let line = text::line(&line.replace('\t', " "));
            bytes += line.len();
            if bytes > MOST_SHOWN && !shown.is_empty() {
                break;
            }
            shown.push(line);
        }
        shown.reverse();
        shown
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn take(&mut self, channel: Channel, bytes: &[u8]) {
        for &byte in bytes {
            let line = &mut self.unfinished[channel as usize].line;
            if byte == b'\n' {
                self.finish(channel);
            } else if line.len() < LONGEST_LINE {
                line.push(byte);
            }
        }
    }

    fn finish(&mut self, channel: Channel) {
        let Unfinished { stream, line, left } = &mut self.unfinished[channel as usize];
        let line = std::mem::take(line);
        let line = String::from_utf8_lossy(&line);
        if *left > 0 && !line.is_empty() {
            *left -= 1;
            let (plugin, identity) = (&self.plugin, self.identity.as_deref());
            if *left == 0 {
                tracing::debug!(plugin, identity, stream, "more output of this call is suppressed");
            } else {
                tracing::debug!(plugin, identity, stream, "{}", text::line(&line));
            }
        }
        // An empty one may be part of a secret.
        self.keep(&line);
    }

    /// Finishes the lines that have no end.
    fn finish_last(&mut self) {
        for channel in [Channel::Stdout, Channel::Stderr] {
            if !self.unfinished[channel as usize].line.is_empty() {
                self.finish(channel);
            }
        }
    }

    fn keep(&mut self, text: &str) {
        self.kept.push_str(text);
        self.kept.push('\n');
        // What a guest writes is no way to the host's memory.
        if self.kept.len() > 2 * MOST_KEPT_BYTES {
            let cut = self.kept.floor_char_boundary(self.kept.len() - MOST_KEPT_BYTES);
            // Half a line could be half a secret.
            let start = self.kept[..cut].rfind('\n').map_or(0, |end| end + 1);
            self.kept.drain(..start);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.finish_last();
    }
}

/// As much of a text as is kept; of several lines whole ones.
fn head(text: &str) -> &str {
    if text.len() <= LONGEST_LINE {
        return text;
    }
    let cut = &text[..text.floor_char_boundary(LONGEST_LINE)];
    cut.rsplit_once('\n').map_or(cut, |(whole, _)| whole)
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    /// Takes what is written at once: a call that breaks off leaves nothing behind in a buffer.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.lines().take(self.channel, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LONGEST_LINE)
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.output.lines().take(self.channel, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use usher_secret::redactor::keep_text_out_of_logs;

    use super::*;

    fn output() -> Output {
        Output::new("acme".into(), None)
    }

    fn print(output: &Output, channel: Channel, text: &str) {
        OutputStream::write(&mut output.stream(channel), text.to_owned().into()).unwrap();
    }

    #[test]
    fn a_failure_has_the_last_twenty_lines_in_the_order_in_which_they_were_written() {
        let output = output();
        for number in 0..30 {
            print(&output, Channel::Stdout, &format!("line {number}\n"));
        }
        print(&output, Channel::Stderr, "Traceback:\n\tacme.py:23\r\n\nRuntimeError: boom");
        output.note("panic: boom", &[("location".into(), "src/lib.rs:45:24".into())]);
        let lines = output.last_lines();
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!(
            lines[16..],
            [
                "Traceback:",
                " acme.py:23",
                "panic: boom location=src/lib.rs:45:24",
                // It ended without a line end, and only the failure finished it.
                "RuntimeError: boom"
            ]
        );
        assert_eq!(lines[0], "line 14");
    }

    #[test]
    fn what_was_written_neither_drives_a_terminal_nor_forges_a_line() {
        let output = output();
        print(&output, Channel::Stderr, "\u{1b}[31;1mred\u{1b}[0m \u{202e}evil\u{7}\n");
        print(&output, Channel::Stderr, "\u{1b}]0;title\u{7}after\u{1b}]8;;x\u{1b}\\link\u{1b}(B");
        assert_eq!(output.last_lines(), ["red \u{FFFD}evil\u{FFFD}", "afterlink"]);
    }

    #[test]
    fn secrets_are_redacted_even_in_pieces() {
        let _lives = ["kept-out-of-failures", "first-line\nsecond-line"].map(keep_text_out_of_logs);
        let output = output();
        print(
            &output,
            Channel::Stdout,
            "a kept-out\u{1b}[0m-of-failures b\nfirst-line\nsecond-line\n",
        );
        assert_eq!(output.last_lines(), ["a [redacted] b", "[redacted]"]);
    }

    #[test]
    fn of_a_secret_with_more_lines_than_are_shown_nothing_is_shown() {
        let lines: Vec<String> =
            (0..26).map(|line| format!("{line:02}{}", "k".repeat(62))).collect();
        for blank in ["", "\n"] {
            let key =
                format!("-----BEGIN KEY-----\n{blank}{}\n-----END KEY-----", lines.join("\n"));
            let _live = keep_text_out_of_logs(&key);
            for channel in [Channel::Stdout, Channel::Stderr] {
                let output = output();
                print(&output, channel, &format!("the key:\n{key}\nit failed\n"));
                assert_eq!(output.last_lines(), ["the key:", "[redacted]", "it failed"]);
            }
        }
    }

    #[test]
    fn a_flood_keeps_little_and_shows_less() {
        let output = output();
        for _ in 0..100 {
            print(&output, Channel::Stdout, &"ä".repeat(LONGEST_LINE));
        }
        print(&output, Channel::Stdout, "\n");
        for _ in 0..100 {
            print(&output, Channel::Stdout, &format!("{}\n", "x".repeat(LONGEST_LINE / 2)));
        }
        output.note(&"one\n".repeat(LONGEST_LINE), &[("name".into(), "x".repeat(LONGEST_LINE))]);
        print(&output, Channel::Stderr, &"\n".repeat(10 * MOST_KEPT_BYTES));
        print(&output, Channel::Stderr, &"y\n".repeat(MOST_KEPT_BYTES));
        let kept = output.lines().kept.len();
        assert!(kept <= 2 * MOST_KEPT_BYTES, "{kept}");
        let shown: usize = output.last_lines().iter().map(String::len).sum();
        assert!(shown <= MOST_SHOWN + '…'.len_utf8(), "{shown}");
    }
}

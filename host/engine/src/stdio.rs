//! What a guest prints becomes debug lines in the agent's log.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::limits::MOST_LOG_LINES;
use crate::text;

/// A line longer than this is cut into several: far longer than what is logged of one, so that no
/// secret escapes the redactor in two halves.
const LONGEST_LINE: usize = 64 << 10;

/// Standard output or error of one call.
#[derive(Clone)]
pub(crate) struct LogStream {
    lines: Arc<Mutex<Lines>>,
}

struct Lines {
    plugin: String,
    identity: Option<String>,
    stream: &'static str,
    unfinished: Vec<u8>,
    left: u32,
}

impl LogStream {
    pub(crate) fn new(plugin: String, identity: Option<String>, stream: &'static str) -> Self {
        let lines =
            Lines { plugin, identity, stream, unfinished: Vec::new(), left: MOST_LOG_LINES };
        Self { lines: Arc::new(Mutex::new(lines)) }
    }
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.unfinished.len() >= LONGEST_LINE {
                self.finish();
            }
            if byte != b'\n' {
                self.unfinished.push(byte);
            }
        }
    }

    fn finish(&mut self) {
        let line = std::mem::take(&mut self.unfinished);
        if line.is_empty() || self.left == 0 {
            return;
        }
        self.left -= 1;
        let (plugin, identity, stream) = (&self.plugin, self.identity.as_deref(), self.stream);
        if self.left == 0 {
            tracing::debug!(plugin, identity, stream, "more output of this call is suppressed");
        } else {
            let message = text::line(&String::from_utf8_lossy(&line));
            tracing::debug!(plugin, identity, stream, "{message}");
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.finish();
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

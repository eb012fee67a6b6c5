//! The stream of a connection, which tells the connection's [`Life`] of what happens on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::life::Life;
use crate::limits::Limits;
use crate::refusal;
use crate::stream::Stream;
use crate::tally::Visit;

pub(crate) struct ConnectionStream {
    stream: Stream,
    life: Arc<Life>,
    limits: Limits,
    /// An answer of the HTTP library's own, with the words that it lacks.
    refusal: Option<Refusal>,
    /// The client may still be writing what nobody will read. If it is cut off meanwhile, it loses
    /// what was said to it as well (RFC 9112, section 9.6).
    is_still_written: bool,
    is_shut: bool,
    /// Also of a connection that was upgraded.
    visit: Visit,
}

struct Refusal {
    bytes: Vec<u8>,
    written: usize,
}

impl ConnectionStream {
    pub(crate) fn new(stream: Stream, life: Arc<Life>, limits: Limits, visit: Visit) -> Self {
        Self { stream, life, limits, refusal: None, is_still_written: false, is_shut: false, visit }
    }

    /// Writes something else than the HTTP library wanted, if that is a refusal without words.
    /// `None`: it is to be written as it is.
    fn poll_refusal(
        &mut self,
        cx: &mut Context<'_>,
        wanted: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.refusal.is_none() && self.life.is_between_requests() {
            let bytes = refusal::with_words(wanted, &self.limits)?;
            self.refusal = Some(Refusal { bytes, written: 0 });
            self.is_still_written = true;
            self.visit.tally().refuse();
        }
        let refusal = self.refusal.as_mut()?;
        while refusal.written < refusal.bytes.len() {
            let rest = &refusal.bytes[refusal.written..];
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Ok(0))),
                Poll::Ready(Ok(written)) => {
                    refusal.written += written;
                    self.visit.sent(written);
                }
                other => return Some(other),
            }
        }
        self.refusal = None;
        Some(Poll::Ready(Ok(wanted.len())))
    }

    fn tell(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.visit.sent(bytes);
        }
        match &written {
            Poll::Ready(_) => self.life.wrote(),
            Poll::Pending => self.life.stuck(),
        }
        written
    }
}

impl AsyncRead for ConnectionStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            this.visit.received(bytes);
            this.life.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ConnectionStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(refused) = this.poll_refusal(cx, buf) {
            return refused;
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.tell(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [only] = bufs
            && let Some(refused) = this.poll_refusal(cx, only)
        {
            return refused;
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.tell(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        match &flushed {
            Poll::Ready(_) => this.life.flushed(),
            Poll::Pending => this.life.stuck(),
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let was_http = this.life.close();
        if !this.is_shut {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.is_shut = true;
        }
        if !was_http {
            return Poll::Ready(Ok(()));
        }
        let mut unread = [0; 4096];
        loop {
            let mut unread = ReadBuf::new(&mut unread);
            match Pin::new(&mut this.stream).poll_read(cx, &mut unread) {
                Poll::Pending if this.is_still_written => return Poll::Pending,
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => this.is_still_written = true,
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

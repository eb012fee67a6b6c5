//! The body of a request or an answer: whole, or streamed with bounded memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use zeroize::{Zeroize as _, Zeroizing};

use crate::governor::UnderWay;
use crate::patience::{Limit, Progress};

/// What a stream's own error is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Of a request or of an answer. Its frames come when they are asked for and are kept nowhere.
#[derive(Default)]
pub struct Body {
    inner: Inner,
    /// Of a request that mustn't stand still.
    progress: Option<Arc<Progress>>,
    /// Of an answer that somebody waits for.
    under_way: Option<UnderWay>,
}

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    Whole(Bytes),
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
    Answer(Incoming, Limit),
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The whole, or the next piece, didn't come in time.
    #[error("it didn't end in time")]
    Timeout,
    /// The connection broke, or whoever makes the body failed.
    #[error("it is cut short")]
    Broken(#[source] BoxError),
}

/// Why a body couldn't be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is larger than the reader wants.
    #[error("it is too large")]
    TooLarge,
    /// It ended before its end.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Body {
    /// A body that is made while it is sent.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        use http_body_util::BodyExt as _;
        Inner::Stream(Box::pin(body.map_err(Into::into))).into()
    }

    /// Reads to the end, at most `largest` bytes. No copy of what it read stays behind.
    pub async fn read(mut self, largest: usize) -> Result<Zeroizing<Vec<u8>>, Unread> {
        use http_body_util::BodyExt as _;
        let announced = http_body::Body::size_hint(&self).exact();
        let announced = announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if announced.is_some_and(|length| length > largest) {
            return Err(Unread::TooLarge);
        }
        let mut whole = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(FIRST_CAPACITY)));
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if whole.len() + data.len() > largest {
                return Err(Unread::TooLarge);
            }
            append(&mut whole, &data);
        }
        Ok(whole)
    }

    pub(crate) fn answer(body: Incoming, limit: Limit) -> Self {
        Inner::Answer(body, limit).into()
    }

    /// The same body once more. `None`: it is streamed, and so there only once.
    pub(crate) fn again(&self) -> Option<Self> {
        match &self.inner {
            Inner::Empty => Some(Self::default()),
            Inner::Whole(bytes) => Some(Self::from(bytes.clone())),
            Inner::Stream(_) | Inner::Answer(..) => None,
        }
    }

    pub(crate) fn followed(mut self, progress: Arc<Progress>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Of an answer whose head is there. An empty one has ended: nobody need look for its end.
    pub(crate) fn watched(mut self, under_way: Option<UnderWay>) -> Self {
        self.under_way = under_way;
        if http_body::Body::is_end_stream(&self) {
            self.end();
        } else if let Some(under_way) = &mut self.under_way {
            under_way.moved();
        }
        self
    }

    fn end(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            under_way.ended();
        }
    }

    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        match &mut self.inner {
            Inner::Empty => Poll::Ready(None),
            Inner::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.inner = Inner::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Inner::Stream(stream) => {
                let frame = ready!(stream.as_mut().poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(Interrupted::Broken)))
            }
            Inner::Answer(body, limit) => {
                if limit.is_over(cx) {
                    return Poll::Ready(Some(Err(Interrupted::Timeout)));
                }
                match Pin::new(body).poll_frame(cx) {
                    Poll::Ready(frame) => {
                        limit.moved();
                        let failed = |error: hyper::Error| Interrupted::Broken(error.into());
                        Poll::Ready(frame.map(|frame| frame.map_err(failed)))
                    }
                    Poll::Pending if limit.stands_still(cx) => {
                        Poll::Ready(Some(Err(Interrupted::Timeout)))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let this = self.get_mut();
        let polled = this.poll_inner(cx);
        if let Some(progress) = &this.progress {
            if polled.is_ready() { progress.moved() } else { progress.wants_more() }
        }
        match polled {
            Poll::Ready(Some(Ok(_))) => this.under_way.iter_mut().for_each(UnderWay::moved),
            Poll::Pending => this.under_way.iter_mut().for_each(UnderWay::wants_more),
            Poll::Ready(None | Some(Err(_))) => this.end(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => true,
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Stream(stream) => stream.is_end_stream(),
            Inner::Answer(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(stream) => stream.size_hint(),
            Inner::Answer(body, _) => body.size_hint(),
        }
    }
}

impl From<Inner> for Body {
    fn from(inner: Inner) -> Self {
        Self { inner, progress: None, under_way: None }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Inner::Whole(bytes).into()
    }
}

/// Appends, and wipes what a growing vector would leave behind.
fn append(whole: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    if whole.capacity() - whole.len() < data.len() {
        let mut larger = Vec::with_capacity((whole.len() + data.len()) * 2);
        larger.extend_from_slice(whole);
        whole.zeroize();
        **whole = larger;
    }
    whole.extend_from_slice(data);
}

const FIRST_CAPACITY: usize = 8 * 1024;

//! The body of an answer, whose end the connection is told of.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::life::Life;

/// Of a service's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) struct Answer<B> {
    content: Content<B>,
    life: Arc<Life>,
}

pub(crate) enum Content<B> {
    Service(B),
    Refusal(Full<Bytes>),
}

impl<B> Answer<B> {
    pub(crate) fn new(content: Content<B>, life: Arc<Life>) -> Self {
        Self { content, life }
    }
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().content {
            Content::Service(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Refusal(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Service(body) => body.is_end_stream(),
            Content::Refusal(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Service(body) => body.size_hint(),
            Content::Refusal(body) => body.size_hint(),
        }
    }
}

/// The HTTP library drops a body as soon as it has all of it, or wants no more.
impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.life.answered();
    }
}

//! A body that is read as far as it is short, and goes on unread where it isn't.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use usher_connector::{Body, BoxError, Interrupted};
use zeroize::Zeroizing;

/// What was read of a body.
pub(crate) enum ReadAhead {
    /// All of it.
    Whole(Zeroizing<Vec<u8>>),
    /// More than was wanted, in the pieces that came; the rest is still in the body.
    Beginning(Vec<Bytes>),
}

impl ReadAhead {
    /// Reads to the end, or until there is more than `largest` bytes.
    pub(crate) async fn read(body: &mut Body, largest: usize) -> Result<Self, Interrupted> {
        let mut pieces = Vec::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            // Trailers aren't kept: no server of secrets sends any with JSON.
            let Ok(piece) = frame?.into_data() else { continue };
            length += piece.len();
            pieces.push(piece);
            if length > largest {
                return Ok(Self::Beginning(pieces));
            }
        }
        let mut whole = Zeroizing::new(Vec::with_capacity(length));
        for piece in pieces {
            whole.extend_from_slice(&piece);
        }
        Ok(Self::Whole(whole))
    }

    /// The body again, from its beginning.
    pub(crate) fn before(pieces: Vec<Bytes>, rest: Body) -> Body {
        let first = pieces.into_iter();
        Body::stream(Again { first, rest })
    }

    /// A body that ends as this one did.
    pub(crate) fn broken(broken: Interrupted) -> Body {
        Body::stream(Broken(Some(broken)))
    }
}

struct Again {
    first: std::vec::IntoIter<Bytes>,
    rest: Body,
}

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        match self.first.next() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let first: u64 = self.first.as_slice().iter().map(|piece| piece.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(first + rest.lower());
        if let Some(upper) = rest.upper() {
            whole.set_upper(first + upper);
        }
        whole
    }
}

struct Broken(Option<Interrupted>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(|broken| Err(broken.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &'static str, largest: usize) -> (bool, Bytes) {
        let mut body = Body::from(Bytes::from_static(text.as_bytes()));
        match ReadAhead::read(&mut body, largest).await.unwrap() {
            ReadAhead::Whole(whole) => (true, Bytes::from_owner(whole)),
            ReadAhead::Beginning(pieces) => {
                let again = ReadAhead::before(pieces, body);
                (false, again.collect().await.unwrap().to_bytes())
            }
        }
    }

    #[tokio::test]
    async fn a_body_is_whole_or_goes_on_from_its_beginning() {
        assert_eq!(read("12345", 5).await, (true, Bytes::from("12345")));
        assert_eq!(read("12345", 4).await, (false, Bytes::from("12345")));
        assert_eq!(read("", 0).await, (true, Bytes::new()));
    }
}

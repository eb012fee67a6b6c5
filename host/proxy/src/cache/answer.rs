//! An answer that is kept: small, exact, and wiped when nobody needs it any more.

use bytes::Bytes;
use http::StatusCode;
use http::header::{AGE, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// What the server answered. Clones share it. No `Debug`: it holds secrets.
#[derive(Clone)]
pub(crate) struct Answer {
    status: StatusCode,
    /// The headers, then the body. A header is its name and its value, each behind its length: as
    /// they came they would hold on to the buffers of their connection.
    whole: Bytes,
    headers: u32,
}

impl Answer {
    /// Of the headers all are kept but those that are of this moment, and those of a length that
    /// nobody would store.
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut kept = Vec::new();
        for (name, value) in headers {
            let of_the_moment = [AGE, CONTENT_LENGTH, DATE].contains(name);
            let parts = [name.as_str().as_bytes(), value.as_bytes()];
            let lengths = parts.map(|part| u16::try_from(part.len()));
            if let ([Ok(name), Ok(value)], false) = (lengths, of_the_moment) {
                for (length, part) in [name, value].into_iter().zip(parts) {
                    kept.extend(length.to_be_bytes());
                    kept.extend(part);
                }
            }
        }
        let headers = u32::try_from(kept.len()).unwrap_or_default();
        let kept = kept.get(..headers as usize).unwrap_or_default();
        // Of its exact size from the start: what grows leaves copies behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(kept.len() + body.len()));
        whole.extend_from_slice(kept);
        whole.extend_from_slice(body);
        Self { status, whole: Bytes::from_owner(whole), headers }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut rest = self.whole.get(..self.headers as usize).unwrap_or_default();
        while let Some(((name, value), left)) = next_pair(rest) {
            headers.append(name, value);
            rest = left;
        }
        headers
    }

    /// It isn't copied.
    pub(crate) fn body(&self) -> Bytes {
        self.whole.slice(self.headers as usize..)
    }

    /// In bytes.
    pub(crate) fn weight(&self) -> usize {
        self.whole.len()
    }
}

fn next_pair(bytes: &[u8]) -> Option<((HeaderName, HeaderValue), &[u8])> {
    let (name, rest) = next_part(bytes)?;
    let (value, rest) = next_part(rest)?;
    let pair = (HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    Some((pair, rest))
}

fn next_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_as_it_came_but_for_what_is_of_the_moment() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("content-type", "application/json"), ("x-a", "1"), ("x-a", "2")] {
            headers.append(name, value.parse().unwrap());
        }
        let expected = headers.clone();
        for name in [AGE, CONTENT_LENGTH, DATE] {
            headers.insert(name, "0".parse().unwrap());
        }
        let answer = Answer::new(StatusCode::CREATED, &headers, b"{}");
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.headers(), expected);
        assert_eq!(answer.body(), "{}");
        assert!(answer.weight() < 100);
        let empty = Answer::new(StatusCode::OK, &HeaderMap::new(), b"");
        assert_eq!((empty.weight(), empty.headers().len()), (0, 0));
    }
}

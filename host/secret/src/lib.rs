//! Secrets that cannot be printed, are wiped on drop, and never reach a log line.
//!
//! [`Secret`] is the only type in which the agent holds a token or a credential. The
//! [`redactor`] knows the secrets that are alive and replaces them, in each form in which they
//! might be written, in every line that leaves the process.

#![forbid(unsafe_code)]

pub mod redactor;

use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroize;

/// A value that has no `Debug`, `Display` or `Serialize` and is wiped when dropped.
///
/// ```compile_fail
/// println!("{:?}", usher_secret::Secret::new(String::from("s.token")));
/// ```
/// ```compile_fail
/// println!("{}", usher_secret::Secret::new(String::from("s.token")));
/// ```
pub struct Secret<T: Zeroize>(SecretBox<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value over; the caller keeps no copy.
    pub fn new(value: T) -> Self {
        Self(SecretBox::new(Box::new(value)))
    }

    /// The value itself, for the one place that must have it. Never format it.
    pub fn expose(&self) -> &T {
        self.0.expose_secret()
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self::new(self.expose().clone())
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize + PartialEq> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl<T: Zeroize + Eq> Eq for Secret<T> {}

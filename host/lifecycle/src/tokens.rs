//! An identity's tokens: the one in use, and the older ones that a sink still holds.

use crate::Generation;
use crate::token_life::TokenLife;

/// Mints the numbers, and keeps what is known of each token that has one.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// What the next token is called; a login or a look in flight has said so already.
    next: Generation,
    current: Option<TokenLife>,
    old: Vec<TokenLife>,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { next: Generation::FIRST, current: None, old: Vec::new() }
    }

    /// What the next token is called.
    pub(crate) fn next(&self) -> Generation {
        self.next
    }

    /// Whether this number is free for a token that came; it no longer is then.
    pub(crate) fn take_number(&mut self, generation: Generation) -> bool {
        let free = generation == self.next;
        if free {
            self.next = generation.next();
        }
        free
    }

    /// The newest one, whether good, dead or expired.
    pub(crate) fn current(&self) -> Option<&TokenLife> {
        self.current.as_ref()
    }

    pub(crate) fn current_mut(&mut self) -> Option<&mut TokenLife> {
        self.current.as_mut()
    }

    /// The current one, if it is good.
    pub(crate) fn good(&self) -> Option<&TokenLife> {
        self.current().filter(|token| token.is_good())
    }

    pub(crate) fn is_current(&self, generation: Generation) -> bool {
        self.current().is_some_and(|token| token.generation() == generation)
    }

    pub(crate) fn old(&self) -> &[TokenLife] {
        &self.old
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &TokenLife> {
        self.current.iter().chain(&self.old)
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut TokenLife> {
        self.current.iter_mut().chain(&mut self.old)
    }

    /// The token of this number, if it is still known.
    pub(crate) fn find(&mut self, generation: Generation) -> Option<&mut TokenLife> {
        self.all_mut().find(|token| token.generation() == generation)
    }

    /// Puts a new token in use; the one that it supersedes.
    pub(crate) fn supersede(&mut self, token: TokenLife) -> Option<TokenLife> {
        self.current.replace(token)
    }

    /// Keeps a superseded token, since a sink holds it.
    pub(crate) fn keep(&mut self, token: TokenLife) {
        self.old.push(token);
    }

    /// Drops the current one.
    pub(crate) fn drop_current(&mut self) {
        self.current = None;
    }

    /// Drops older ones that are of no more use or that are not held any more; which.
    pub(crate) fn forget_old(
        &mut self,
        is_held: impl Fn(Generation) -> bool,
    ) -> impl Iterator<Item = Generation> {
        self.old
            .extract_if(.., move |token| !token.is_good() || !is_held(token.generation()))
            .map(|token| token.generation())
    }
}

//! Tokens that are good for so many requests only, as far as they were granted through the cache.

use std::collections::{BTreeSet, VecDeque};

use super::key::TokenId;

/// The last of them.
#[derive(Default)]
pub(super) struct Limited {
    tokens: BTreeSet<TokenId>,
    by_age: VecDeque<TokenId>,
}

impl Limited {
    pub(super) fn contains(&self, token: &TokenId) -> bool {
        self.tokens.contains(token)
    }

    pub(super) fn add(&mut self, token: TokenId) {
        if self.tokens.insert(token) {
            self.by_age.push_back(token);
        }
        if self.tokens.len() > MOST
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.tokens.remove(&oldest);
        }
    }
}

const MOST: usize = 4096;

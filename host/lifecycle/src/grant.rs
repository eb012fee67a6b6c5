//! One token: how long it lives, when to renew, check and replace it.

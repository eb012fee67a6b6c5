//! A token's life: the first login, renewal, another login, reload, the end.

mod first_login;
mod identities;
mod reauthentication;
mod reload;
mod renewal;
mod restart;
mod revocation;
mod shutdown;

//! The project itself: its guides, its tables and its order, and the harness of the other tests.

mod guides;
mod harness;
mod readme;
mod typescript;

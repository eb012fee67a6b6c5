//! The project itself: its guides, its tables and its order, and the harness of the other tests.

mod floors;
mod guides;
mod harness;
mod readme;
mod typescript;

//! One sink's share of the machine.

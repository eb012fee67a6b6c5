//! Rules, one by one, in a simulated world; then properties over random ones.

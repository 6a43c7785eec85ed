//! `cargo xtask demo`.

/// Placeholder until the pieces are there.
pub fn run() {}

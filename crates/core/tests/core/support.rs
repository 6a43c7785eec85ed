//! What the tests of this crate share besides builders: random cases, plans as text, and operations that run against a
//! simulated AWS.

#![allow(unreachable_pub, reason = "a module of a test program")]

pub mod arbitrary;
pub mod planning;
pub mod shell;
pub mod world;

//! The servers of the tests, against real ones.

mod cluster;
mod pool;

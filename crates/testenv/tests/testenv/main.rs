//! Tests of the servers that tests use.

mod cluster;
mod pool;

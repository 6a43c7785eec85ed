//! The servers for tests, demo and playground: an API server with etcd, a simulated AWS, Prometheus, and other processes.
//!
//! This crate is not part of the product: none of it runs in a cluster.

pub mod assets;
pub mod cluster;
pub mod helm;
pub mod playground;
mod pod;
pub mod pool;
pub mod process;
pub mod project;
pub mod prometheus;
pub mod simulator;
mod store;

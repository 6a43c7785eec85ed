//! Starts what tests, demo and playground need: an API server with etcd, a simulated AWS, Prometheus, and any other server.
//!
//! Not part of the product: nothing here runs in a cluster.

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

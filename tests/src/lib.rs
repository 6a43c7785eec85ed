//! The environment of the stories: a real API server, a simulated AWS, and the controller as `deploy/` installs it.
//!
//! The controller is neither linked nor called: stories see what users see.

pub mod api_server;
pub mod aws_cli;
pub mod by_hand;
pub mod context;
pub mod controller;
pub mod credentials;
pub mod dashboard;
pub mod expression;
pub mod forward_proxy;
pub mod invariants;
pub mod objects;
pub mod people;
pub mod plugin;
pub mod prometheus;
pub mod proxy;
pub mod release;
pub mod rules;
pub mod runbooks;
pub mod story;
pub mod tls;

pub use controller::Controller;
pub use release::Release;
pub use story::{Policy, Story};

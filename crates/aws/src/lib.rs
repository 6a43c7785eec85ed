//! Secrets Manager as three verbs over the types of core: [`sweep`](Account::sweep), [`look`](Account::look)
//! and [`apply`](StepReservation::apply). It also reads the [queue](EventQueue) of events that make the controller look
//! sooner.
//!
//! This crate makes no decisions, and no call in it reads or writes the value of a secret.

mod account;
mod apply;
mod clients;
mod clock;
mod convert;
mod credentials;
mod describe;
mod endpoint;
mod errors;
mod interceptor;
mod list_secrets;
mod observer;
mod probe;
mod rotation_event;
mod scope;
mod sqs;
mod step_queue;
mod step_reservation;
mod sweep;
mod token_bucket;
mod token_source;
#[cfg(test)]
mod wire;

pub use account::{Account, RateLimits};
pub use apply::Applied;
pub use aws_config::SdkConfig;
pub use credentials::{Renewal, ambient};
pub use endpoint::{Endpoint, EndpointError};
pub use errors::CallError;
pub use observer::{Call, Observer, Operation};
pub use probe::find_credentials;
pub use scope::Scope;
pub use sqs::{Batch, EventQueue};
pub use step_queue::StepNeed;
pub use step_reservation::StepReservation;
pub use sweep::{Refreshed, SweepPlan, Swept};

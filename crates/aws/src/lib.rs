//! Secrets Manager as three verbs over the types of core: [`inventory`](Account::inventory),
//! [`look`](Account::look) and [`apply`](Ticket::apply); beside them the [queue](EventQueue) whose events tell when to
//! look sooner.
//!
//! This crate decides nothing, and no call in it reads or writes the value of a secret.

mod account;
mod apply;
mod bucket;
mod call;
mod clients;
mod clock;
mod credentials;
mod date;
mod endpoint;
mod errors;
mod event;
mod line;
mod list;
mod look;
mod parse;
mod queue;
mod reach;
mod scope;
mod sweep;
mod ticket;
#[cfg(test)]
mod wire;

pub use account::{Account, Limits};
pub use apply::{Applied, Rejected};
pub use aws_config::SdkConfig;
pub use call::{Call, Observer, Operation};
pub use credentials::{Renewal, ambient};
pub use endpoint::{Endpoint, EndpointError};
pub use line::Need;
pub use queue::{Batch, EventQueue};
pub use reach::find_credentials;
pub use scope::Scope;
pub use ticket::Ticket;

//! AWS sessions of commands, with the user's own credentials, at an endpoint that the user allows.
//!
//! The requests are those of crate `aws`; this module sends none.

mod collect;
mod criteria;
mod errors;
mod policy_file;
mod progress;
mod secret_arg;
mod session;

#[cfg(test)]
pub(crate) use self::collect::OwnEngine;
pub(crate) use self::collect::{RegionSweep, collect};
pub(crate) use self::criteria::Criteria;
pub(crate) use self::errors::FailedCalls;
pub(crate) use self::errors::Problem;
pub(crate) use self::progress::Progress;
pub(crate) use self::secret_arg::agreed;
pub(crate) use self::secret_arg::{SecretArg, SecretId};
pub(crate) use self::session::{AwsOptions, AwsQuery, RateArgs};
pub(crate) use self::session::{Session, parse_region};

//! How commands reach AWS: with the caller's own credentials, at the endpoint that the caller allows.
//!
//! The requests themselves are those of crate `aws`; nothing here sends one.

mod collect;
mod criteria;
mod errors;
mod progress;
mod secret_arg;
mod session;

pub(crate) use self::collect::{Swept, sweep};
pub(crate) use self::criteria::Subject;
pub(crate) use self::errors::Trouble;
pub(crate) use self::errors::Witness;
pub(crate) use self::progress::Progress;
pub(crate) use self::secret_arg::agreed;
pub(crate) use self::secret_arg::{Place, SecretId};
pub(crate) use self::session::{AwsOptions, Pace};
pub(crate) use self::session::{Login, parse_region};

//! The reads from the API server at the beginning of a step, by quorum.

use std::time::Duration;

use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::ownership::BoundPolicy;

use crate::context::Context;
use crate::error::Error;
use crate::operation::fetched::{Bounds, Fetched};
use crate::operation::locks::SecretGuard;
use crate::operation::step_end::{Happening, StepEnd, Stop};

/// The pause while another step is in progress on the same secret, or holds what this one needs.
pub(super) const BUSY: Duration = Duration::from_secs(1);

/// Reads the operation.
///
/// # Errors
///
/// Ends the step if the operation is gone, has ended or cannot be parsed. Fails if the request fails.
pub(super) async fn fetch(context: &Context, key: &ObjectKey) -> Result<Fetched, Stop> {
    match Fetched::read(context, key).await {
        Ok(fetched) => Ok(fetched.ok_or(StepEnd::Quiet(None))?),
        Err(Error::Invalid(why)) => Err(StepEnd::Unparsed(why).into()),
        Err(error) => Err(error.into()),
    }
}

/// Locks the secret in this process, if it is known.
///
/// # Errors
///
/// Ends the step if another step is in progress on the secret.
pub(super) fn lock(context: &Context, fetched: &Fetched) -> Result<Option<SecretGuard>, StepEnd> {
    let Some(arn) = &fetched.operation.arn else {
        return Ok(None);
    };
    let guard = context.locks.try_lock(arn);
    guard.map(Some).ok_or(StepEnd::again_after(BUSY))
}

/// Reads policy, profile and namespace.
///
/// # Errors
///
/// Ends the step if the operation may not ask AWS about its secret, or if policy or profile cannot be parsed. Fails if
/// a request fails.
pub(super) async fn bounds(context: &Context, fetched: &Fetched) -> Result<BoundPolicy, Stop> {
    let happening = match fetched.bounds(context).await {
        Ok(Bounds::Within(bound_policy)) => return Ok(*bound_policy),
        Ok(Bounds::Ended(outcome)) => Happening::Ended {
            outcome,
            look: None,
            consent: None,
        },
        Err(Error::Invalid(why)) => {
            Happening::Hindered(format!("its policy or profile is invalid: {why}"))
        }
        Err(error) => return Err(error.into()),
    };
    Err(StepEnd::about(fetched, happening).into())
}

//! The approval of an operation, as core judges it with the admission policies that are in force.

use jiff::Timestamp;
use secret_rotation_core::consent::{self, Admission, Consent};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::time::ServerTime;

use crate::admission;
use crate::context::Context;
use crate::error::Error;

/// Returns the state of the approval. The admission policies are read only if something depends on them: fresh if an
/// approval would be acted on, and as last seen if no one has decided.
pub(super) async fn consent(
    context: &Context,
    operation: &Operation,
    BoundPolicy {
        policy, profile, ..
    }: &BoundPolicy,
) -> Result<Consent, Error> {
    let always = Admission::Enforced {
        since: ServerTime::new(Timestamp::UNIX_EPOCH),
    };
    let evaluated = consent::consent(operation, policy, profile, &always);
    match evaluated {
        Consent::NotNeeded | Consent::Refused { .. } => Ok(evaluated),
        Consent::Awaited { .. } => {
            let admission = admission::seen(context).await?;
            Ok(consent::consent(operation, policy, profile, &admission))
        }
        Consent::Given { .. } => {
            let admission = admission::look(context).await?;
            Ok(consent::consent(operation, policy, profile, &admission))
        }
    }
}

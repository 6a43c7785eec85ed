//! The look at the secret of an operation. If AWS cannot be read, nothing is known, so nothing is done.

use secret_rotation_aws::Operation as Call;
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::names::{Arn, Region};
use secret_rotation_core::secret::{Look, Seen};
use tokio::time::Instant;

use crate::clock;
use crate::context::Context;
use crate::operation::fetched::Fetched;
use crate::operation::reservation::ReservedStep;
use crate::operation::step_end::{Happening, StepEnd};

/// Looks at the secret. Returns the look, and when its first request was about to be sent.
///
/// # Errors
///
/// Ends the step if AWS cannot be read, or if AWS has not confirmed yet that the secret does not exist.
pub(super) async fn look(
    context: &Context,
    fetched: &Fetched,
    reserved: &mut ReservedStep,
) -> Result<(Look, Instant), StepEnd> {
    let (looked, key) = (clock::now(), &fetched.operation.key);
    let look = reserved.reservation.look(fetched.secret_id()).await;
    reserved.record_answer(look.as_ref().err().map(|error| error.class));
    let look = look.map_err(|error| unread(fetched, Call::DescribeSecret, &error))?;
    if look.secret != Seen::Absent {
        context.look_failures.record_present(key);
    } else if let Err(wait) = context.look_failures.record_absent(key) {
        return Err(StepEnd::about(fetched, Happening::Absent(wait)));
    }
    Ok((look, looked))
}

/// Adds the versions of the secret to a look. The look stays the oldest fact of the step.
///
/// # Errors
///
/// Ends the step if AWS cannot be read.
pub(super) async fn list_versions(
    fetched: &Fetched,
    (look, arn): (&mut Look, &Arn),
    reserved: &mut ReservedStep,
) -> Result<(), StepEnd> {
    let listed = reserved.reservation.list_versions(look, arn).await;
    reserved.record_answer(listed.as_ref().err().map(|error| error.class));
    listed.map_err(|error| unread(fetched, Call::ListSecretVersionIds, &error))
}

fn unread(fetched: &Fetched, call: Call, error: &AwsError) -> StepEnd {
    let message = failure_message(call, fetched.region(), error);
    tracing::warn!(operation = %fetched.operation.key, call = call.name(), message);
    StepEnd::about(fetched, Happening::Hindered(message))
}

/// Describes which call failed, where and why. It leaves out the request id, which would differ each time and so
/// cause a write each time.
fn failure_message(call: Call, region: &Region, error: &AwsError) -> String {
    let (call, error) = (call.name(), error.lasting());
    format!("the secret could not be read: {call} in {region}: {error}")
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::aws_error::ErrorClass;

    use super::*;

    #[test]
    fn a_failure_to_list_versions_is_reported_with_the_same_message_each_time() {
        let denied = |id: &str| AwsError {
            class: ErrorClass::Denied,
            code: Some("AccessDeniedException".to_owned()),
            request_id: Some(id.to_owned()),
        };
        let region = Region::parse("eu-west-1").expect("a region");
        let message = failure_message(Call::ListSecretVersionIds, &region, &denied("r-1"));
        assert_eq!(
            message,
            "the secret could not be read: ListSecretVersionIds in eu-west-1: AWS denied access (AccessDeniedException)"
        );
        let again = failure_message(Call::ListSecretVersionIds, &region, &denied("r-2"));
        assert_eq!(again, message);
    }
}

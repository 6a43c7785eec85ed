//! The request that writes a value. Its errors contain only codes, never a message or a body.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use aws_sdk_secretsmanager::primitives::Blob;
use secret_rotation_core::names::{Arn, Region};

use super::value::{Shape, Value};
use crate::CommandError;
use crate::aws::Session;

/// The time limit of the request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Puts the value and returns the id of its version. The SDK makes the request token, so that its retries write only
/// once.
pub(super) async fn put(
    session: &Session,
    region: &Region,
    secret: &Arn,
    value: &Value,
    shape: Shape,
) -> Result<String, CommandError> {
    let timeout = TimeoutConfig::builder()
        .operation_timeout(REQUEST_TIMEOUT)
        .build();
    let settings = Builder::from(session.config())
        .region(aws_config::Region::new(region.as_str().to_owned()))
        .timeout_config(timeout)
        .build();
    let client = Client::from_conf(settings);
    #[expect(
        clippy::disallowed_methods,
        reason = "the one write of a value: a person's own, confirmed, with the person's credentials"
    )]
    let request = client.put_secret_value().secret_id(secret.as_str());
    let request = match (shape, std::str::from_utf8(value.bytes())) {
        (Shape::Text, Ok(text)) => request.secret_string(text),
        (Shape::Text, Err(_)) | (Shape::Binary, _) => {
            request.secret_binary(Blob::new(value.bytes()))
        }
    };
    let answer = request
        .send()
        .await
        .map_err(|error| explained(error.code(), secret, region))?;
    let version = answer.version_id().unwrap_or("with an unknown id");
    Ok(version.to_owned())
}

fn explained(code: Option<&str>, secret: &Arn, region: &Region) -> CommandError {
    let Some(code) = code else {
        return CommandError::new(format!("AWS returned an unreadable response in {region}")).with_hint(
            format!("the value may have been written: check with `kubectl secret-rotation versions {secret}`"),
        );
    };
    match code {
        "AccessDeniedException" | "AccessDenied" => CommandError::new(format!(
            "AWS denied secretsmanager:PutSecretValue in {region}"
        ))
        .with_hint("`kubectl secret-rotation iam-policy --level put` prints the permissions that are needed; a customer managed KMS key also needs kms:GenerateDataKey and kms:Decrypt"),
        "LimitExceededException" => CommandError::new("the secret has too many versions")
            .with_hint("AWS deletes versions without labels after a day: try again later"),
        "InvalidRequestException" => CommandError::new("AWS refuses to write to this secret")
            .with_hint("it may be scheduled for deletion, or managed by another AWS service"),
        "ExpiredTokenException" | "ExpiredToken" => CommandError::new("the AWS session has expired")
            .with_hint("sign in again, for example with `aws sso login` or `aws login`"),
        code => CommandError::new(format!("AWS refused the value ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_policy_that_is_needed() {
        let region = Region::parse("eu-west-1").expect("a region");
        let text = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbCdEf";
        let secret = Arn::parse(text).expect("an ARN");
        let silent = explained(None, &secret, &region).to_string();
        assert!(silent.contains(&format!("versions {text}`")), "{silent}");
        let failure = explained(Some("AccessDeniedException"), &secret, &region).to_string();
        assert!(
            failure.starts_with("error: AWS denied secretsmanager:PutSecretValue in eu-west-1")
        );
        assert!(failure.contains("iam-policy --level put"));
    }
}

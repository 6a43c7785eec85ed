//! Classifies failed calls by what the caller does next. Never reads a body, and never prints an `SdkError`.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use secret_rotation_core::aws_error::{AwsError, Cause, ErrorClass};
use secret_rotation_core::time::{AwsTime, DateCheck};

use crate::observer::Operation;

/// A call that failed. AWS may have applied a write even though the call failed:
/// [`may_have_applied`](secret_rotation_core::aws_error::ErrorClass::may_have_applied).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct CallError {
    /// The error of AWS, classified by what to do next.
    pub error: AwsError,
    /// The `Date` header of the answer, if there was an answer and it had one.
    pub at: Option<AwsTime>,
}

/// The maximum number of characters of codes and request ids.
const KEPT: usize = 64;

/// Returns the class and AWS's code of a failed call.
pub(crate) fn classify<E>(
    error: &SdkError<E, HttpResponse>,
    operation: Operation,
) -> (ErrorClass, Option<String>)
where
    E: ProvideErrorMetadata + Error + 'static,
{
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the SDK's enum is not exhaustive"
    )]
    let class = match error {
        SdkError::TimeoutError(_) => ErrorClass::Unreachable,
        SdkError::DispatchFailure(failure) => return not_sent(error, failure.is_user()),
        SdkError::ResponseError(answer) if answer.raw().status().is_server_error() => {
            ErrorClass::Unreachable
        }
        SdkError::ResponseError(_) => ErrorClass::Malformed,
        SdkError::ServiceError(answer) => of_answer(answer.err(), answer.raw(), operation),
        _ => ErrorClass::Unexpected,
    };
    (
        class,
        error
            .code()
            .map(|code| clean(code_of_cause(code, error.message()))),
    )
}

/// Returns why nothing was sent: there are no credentials, or no connection.
fn not_sent(error: &(dyn Error + 'static), of_our_making: bool) -> (ErrorClass, Option<String>) {
    let (class, cause) = match credentials_of(error) {
        Some(error) => of_provider(error),
        None if of_our_making => (ErrorClass::Unexpected, None),
        None => (ErrorClass::Unreachable, connection_cause(error)),
    };
    (class, cause.map(|cause| cause.name().to_owned()))
}

/// Returns why there are no credentials, as the class and cause of a failed call.
pub(crate) fn of_provider(error: &CredentialsError) -> (ErrorClass, Option<Cause>) {
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        return (ErrorClass::Credentials, None);
    }
    if has_expired(error) {
        return (ErrorClass::Credentials, Some(Cause::SessionExpired));
    }
    let unreached = matches!(error, CredentialsError::ProviderTimedOut(_))
        || chain(error)
            .filter_map(|error| error.downcast_ref::<ConnectorError>())
            .any(|error| !error.is_user());
    if unreached {
        return (ErrorClass::Unreachable, connection_cause(error));
    }
    (ErrorClass::Credentials, Some(Cause::CredentialsNotObtained))
}

/// Returns whether the session has expired. The errors of the SDK's providers are private types, so only their fixed
/// texts identify them. The texts are not kept.
fn has_expired(error: &(dyn Error + 'static)) -> bool {
    let words = [
        "ExpiredToken",
        "has expired",
        "is expired",
        "UnauthorizedException",
        "reauthenticate",
    ];
    chain(error).any(|error| {
        let text = error.to_string();
        words.iter().any(|word| text.contains(word))
    })
}

/// Returns the cause if a proxy or a certificate prevented the connection. Their errors are types of libraries below
/// the SDK, so only their texts identify them.
fn connection_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mentions = |word: &str| chain(error).any(|error| error.to_string().contains(word));
    if mentions("invalid peer certificate") {
        return Some(Cause::CertificateNotTrusted);
    }
    let by_proxy = ["tunnel error", "SOCKS error", "proxy"];
    by_proxy
        .into_iter()
        .any(mentions)
        .then_some(Cause::ProxyRefused)
}

/// Returns the code, or that of [`Cause::ClockOff`]. AWS also answers `InvalidSignatureException` if the local clock is
/// wrong; only the message distinguishes the two.
fn code_of_cause<'a>(code: &'a str, message: Option<&str>) -> &'a str {
    let message = message.unwrap_or_default();
    let of_time = ["Signature expired", "Signature not yet current"];
    let is_late = of_time.into_iter().any(|word| message.contains(word));
    match code {
        "InvalidSignatureException" | "SignatureDoesNotMatch" if is_late => Cause::ClockOff.name(),
        code => code,
    }
}

/// Returns the error for an answer that is implausible.
pub(crate) const fn malformed(request_id: Option<String>) -> AwsError {
    AwsError {
        class: ErrorClass::Malformed,
        code: None,
        request_id,
    }
}

/// Returns the error for an answer whose `Date` header is missing or not trusted.
pub(crate) fn undated(date_check: Option<DateCheck>, request_id: Option<String>) -> AwsError {
    let code = match date_check {
        Some(DateCheck::Implausible) | None => "NoUsableDate",
        Some(DateCheck::Doubted | DateCheck::Agrees | DateCheck::Adopted) => "DateNotBelieved",
    };
    AwsError {
        code: Some(code.to_owned()),
        ..malformed(request_id)
    }
}

/// Returns the error for a call in which the SDK panicked.
pub(crate) fn panicked() -> AwsError {
    AwsError {
        code: Some("Panic".to_owned()),
        ..unexpected()
    }
}

/// Returns the error for a call that did not return to its caller.
pub(crate) const fn unexpected() -> AwsError {
    AwsError {
        class: ErrorClass::Unexpected,
        code: None,
        request_id: None,
    }
}

/// Returns an external text without control characters, cut to [`KEPT`] characters.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(KEPT)
        .collect()
}

fn credentials_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Returns the error and its sources.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Classifies an error response. A 200 that cannot be parsed arrives as a service error without a code.
fn of_answer(
    error: &impl ProvideErrorMetadata,
    raw: &HttpResponse,
    operation: Operation,
) -> ErrorClass {
    let status = raw.status();
    if status.is_success() {
        return ErrorClass::Malformed;
    }
    let known = error
        .code()
        .and_then(|code| of_code(code, error.message().unwrap_or_default(), operation));
    match known {
        Some(class) => class,
        None if status.is_server_error() => ErrorClass::Unreachable,
        None if status.as_u16() == 429 => ErrorClass::Throttled,
        None => ErrorClass::Unexpected,
    }
}

/// Classifies the codes of the service and the codes common to all of AWS (API reference, "Common Errors").
fn of_code(code: &str, message: &str, operation: Operation) -> Option<ErrorClass> {
    Some(match code {
        "ResourceNotFoundException"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue" => ErrorClass::Gone,
        "InvalidParameterException" => ErrorClass::Mismatch,
        "InvalidRequestException" => of_message(message),
        "LimitExceededException" => of_limit(operation),
        "AccessDeniedException" if cannot_invoke(message) => ErrorClass::CannotInvoke,
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "UnauthorizedOperation" => {
            ErrorClass::Denied
        }
        "ExpiredTokenException"
        | "ExpiredToken"
        | "RequestExpired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestTimeTooSkewed"
        | "AuthFailure" => ErrorClass::Credentials,
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "OverLimit"
        | "SlowDown" => ErrorClass::Throttled,
        "InternalServiceError"
        | "InternalServiceErrorException"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestTimeoutException" => ErrorClass::Unreachable,
        _ => return None,
    })
}

/// Classifies `InvalidRequestException` by its message. AWS writes apostrophes in two ways, so only words without an
/// apostrophe are compared.
fn of_message(message: &str) -> ErrorClass {
    let pending = message.to_ascii_lowercase().contains("previous rotation");
    if pending {
        ErrorClass::RotationPending
    } else {
        ErrorClass::Refused
    }
}

/// Returns whether Secrets Manager may not invoke the rotation function. The same code also means that the controller
/// lacks a permission; only the message distinguishes the two.
fn cannot_invoke(message: &str) -> bool {
    message
        .to_ascii_lowercase()
        .contains("cannot invoke the specified lambda")
}

/// Classifies `LimitExceededException`. It means too many labels for `UpdateSecretVersionStage`, and too many requests
/// for other operations.
const fn of_limit(operation: Operation) -> ErrorClass {
    match operation {
        Operation::UpdateSecretVersionStage => ErrorClass::LimitExceeded,
        Operation::ListSecrets
        | Operation::DescribeSecret
        | Operation::ListSecretVersionIds
        | Operation::RotateSecret
        | Operation::RestoreSecret
        | Operation::ReceiveMessage
        | Operation::DeleteMessageBatch => ErrorClass::Throttled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_texts_are_cut_and_kept_on_one_line() {
        assert_eq!(clean("a\n\u{1b}[31mb"), "a[31mb");
        assert_eq!(clean(&"x".repeat(1000)).len(), 64);
    }

    #[test]
    fn a_function_that_cannot_be_invoked_is_not_a_missing_permission_of_the_controller() {
        let of = |message| of_code("AccessDeniedException", message, Operation::RotateSecret);
        let function = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy \
                        grants access to the principal secretsmanager.amazonaws.com.";
        assert_eq!(of(function), Some(ErrorClass::CannotInvoke));
        let ours = "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: \
                    secretsmanager:RotateSecret because no identity-based policy allows the action";
        assert_eq!(of(ours), Some(ErrorClass::Denied));
    }

    #[test]
    fn a_failed_provider_is_distinguished_from_missing_credentials() {
        let missing = CredentialsError::not_loaded("no providers in chain provided credentials");
        assert_eq!(of_provider(&missing), (ErrorClass::Credentials, None));
        let process = CredentialsError::provider_error("external process exited with code 1");
        assert_eq!(
            of_provider(&process),
            (ErrorClass::Credentials, Some(Cause::CredentialsNotObtained))
        );
        let sso =
            CredentialsError::provider_error("the SSO token has expired and cannot be refreshed");
        assert_eq!(
            of_provider(&sso),
            (ErrorClass::Credentials, Some(Cause::SessionExpired))
        );
    }

    #[test]
    fn an_unreachable_provider_is_not_a_credentials_error() {
        let refused = ConnectorError::io("connection refused".into());
        let sts = CredentialsError::provider_error(refused);
        assert_eq!(of_provider(&sts), (ErrorClass::Unreachable, None));
        let proxy = ConnectorError::io("tunnel error: unsuccessful".into());
        let sts = CredentialsError::provider_error(proxy);
        assert_eq!(
            of_provider(&sts),
            (ErrorClass::Unreachable, Some(Cause::ProxyRefused))
        );
    }

    #[test]
    fn a_signature_of_another_time_is_a_clock_error() {
        let code = "InvalidSignatureException";
        for message in [
            "Signature expired: 20261123T094500Z is now earlier than 20261123T095500Z (20261123T100000Z - 5 min.)",
            "Signature not yet current: 20261123T104500Z is still later than 20261123T100500Z",
        ] {
            assert_eq!(code_of_cause(code, Some(message)), "RequestTimeTooSkewed");
        }
        let other =
            "The request signature we calculated does not match the signature you provided.";
        assert_eq!(code_of_cause(code, Some(other)), code);
        assert_eq!(
            code_of_cause("AccessDenied", Some("Signature expired")),
            "AccessDenied"
        );
    }

    #[test]
    fn an_invalid_request_is_classified_by_its_message() {
        let pending =
            "A previous rotation isn\u{2019}t complete. That rotation will be reattempted.";
        assert_eq!(of_message(pending), ErrorClass::RotationPending);
        assert_eq!(of_message(""), ErrorClass::Refused);
    }
}

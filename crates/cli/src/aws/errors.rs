//! AWS errors as messages with hints.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use secret_rotation_api::readiness::ReadyReason;
use secret_rotation_aws::{Call, Operation};
use secret_rotation_core::aws_error::{AwsError, Cause, ErrorClass};
use secret_rotation_core::names::Region;
use secret_rotation_core::operation::Failure;
use serde::Serialize;

use crate::CommandError;

/// Why something could not be read, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The kind of problem, in one word.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// The calls that failed. An error alone does not say which request it answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailedCalls {
    failed: Arc<Mutex<BTreeSet<(Operation, ErrorClass)>>>,
}

impl FailedCalls {
    /// Records one call.
    pub(crate) fn record(&self, call: &Call) {
        if let Some(class) = call.class {
            self.failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((call.operation, class));
        }
    }

    /// Returns the requests that failed with this class of error.
    pub(crate) fn of_class(&self, class: ErrorClass) -> Vec<Operation> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let same_class = failed.iter().filter(|(_, one)| *one == class);
        same_class.map(|(operation, _)| *operation).collect()
    }
}

impl Problem {
    /// Explains an error of these requests.
    pub(crate) fn of(error: &AwsError, asked: &[Operation], region: &Region) -> Self {
        let actions: Vec<_> = asked
            .iter()
            .map(|operation| format!("secretsmanager:{}", operation.name()))
            .collect();
        let message = match (error.class, actions.as_slice()) {
            (ErrorClass::Denied, [_, ..]) => {
                format!("{error}: {} in {region}", actions.join(", "))
            }
            _ => format!("{error} in {region}"),
        };
        Self {
            reason: reason(error.class),
            message,
            hint: hint(error, region),
        }
    }
}

impl From<Problem> for CommandError {
    fn from(problem: Problem) -> Self {
        Self::new(problem.message).with_hint(problem.hint)
    }
}

/// Returns the reason, in the words of conditions where they have one.
const fn reason(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Denied => ReadyReason::AccessDenied.name(),
        ErrorClass::Credentials => ReadyReason::CredentialsUnavailable.name(),
        ErrorClass::Throttled | ErrorClass::LimitExceeded => ReadyReason::Throttled.name(),
        ErrorClass::Unreachable | ErrorClass::Malformed => ReadyReason::AwsUnavailable.name(),
        ErrorClass::Gone => Failure::Gone.name(),
        ErrorClass::Refused
        | ErrorClass::CannotInvoke
        | ErrorClass::RotationPending
        | ErrorClass::Mismatch => Failure::Refused.name(),
        ErrorClass::Unexpected => Failure::Unexpected.name(),
    }
}

fn hint(error: &AwsError, region: &Region) -> String {
    if let Some(cause) = error.cause() {
        return of_cause(cause).to_owned();
    }
    let hint = match error.class {
        ErrorClass::Denied => {
            "`kubectl secret-rotation iam-policy --level audit` prints the permissions that are needed; an explicit Deny, a permissions boundary or a service control policy can also be the cause"
        }
        ErrorClass::Credentials => of_cause(Cause::CredentialsMissing),
        ErrorClass::Throttled | ErrorClass::LimitExceeded => {
            "lower --reads-per-second, or try again when other clients of the account send fewer requests"
        }
        ErrorClass::Unreachable => {
            "check the name of the region, then the network, the proxy or the VPC endpoint"
        }
        ErrorClass::Malformed => {
            "something between this machine and AWS answers instead of AWS: check proxies and endpoint variables"
        }
        ErrorClass::Gone => {
            return format!(
                "check the name and the region: `kubectl secret-rotation list --regions {region}` lists the secrets"
            );
        }
        ErrorClass::Refused
        | ErrorClass::CannotInvoke
        | ErrorClass::RotationPending
        | ErrorClass::Mismatch => {
            return format!(
                "check the state of the secret with `kubectl secret-rotation list --regions {region}`"
            );
        }
        ErrorClass::Unexpected => "try again; AWS support can find the request by its id",
    };
    hint.to_owned()
}

/// Returns what to do about credentials, or about something between this machine and AWS.
const fn of_cause(cause: Cause) -> &'static str {
    match cause {
        Cause::CredentialsMissing => {
            "sign in with `aws sso login` or `aws login`, select a profile with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        }
        Cause::CredentialsNotObtained => {
            "the source of credentials that the profile or the environment names fails: `aws sts get-caller-identity` shows why"
        }
        Cause::SessionExpired => "sign in again, for example with `aws sso login` or `aws login`",
        Cause::NotKnownInRegion => {
            "omit the region, or enable it for the account; if no region accepts the credentials, sign in again"
        }
        Cause::ClockOff => "set the clock of this machine, for example with NTP",
        Cause::SignatureRefused => "check the secret access key, and the clock of this machine",
        Cause::ProxyRefused => {
            "check HTTPS_PROXY, NO_PROXY and the rules of the proxy; add a VPC endpoint to NO_PROXY"
        }
        Cause::CertificateNotTrusted => {
            "something between this machine and AWS intercepts TLS: add its certificate authority to the trust store of this machine, for example with SSL_CERT_FILE"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: ErrorClass, code: Option<&str>) -> AwsError {
        AwsError {
            class,
            code: code.map(str::to_owned),
            request_id: None,
        }
    }

    fn region() -> Region {
        Region::parse("eu-west-1").expect("a region")
    }

    #[test]
    fn a_denial_names_the_missing_permission() {
        let denied = error(ErrorClass::Denied, Some("AccessDeniedException"));
        let problem = Problem::of(&denied, &[Operation::ListSecrets], &region());
        assert_eq!(problem.reason, "AccessDenied");
        assert_eq!(
            problem.message,
            "AWS denied access (AccessDeniedException): secretsmanager:ListSecrets in eu-west-1"
        );
        assert!(problem.hint.contains("iam-policy --level audit"));
    }

    #[test]
    fn each_cause_of_missing_credentials_has_its_own_hint() {
        let problem = |class, code| Problem::of(&error(class, code), &[], &region());
        for (code, message, hint) in [
            (
                Some("ExpiredTokenException"),
                "has expired",
                "sign in again",
            ),
            (
                Some("UnrecognizedClientException"),
                "not enabled for the account",
                "enable it",
            ),
            (Some("RequestTimeTooSkewed"), "clock is off", "NTP"),
            (
                Some("CredentialsNotObtained"),
                "could not be obtained",
                "get-caller-identity",
            ),
            (None, "no AWS credentials were found", "aws sso login"),
        ] {
            let problem = problem(ErrorClass::Credentials, code);
            assert_eq!(problem.reason, "CredentialsUnavailable");
            assert!(problem.message.contains(message), "{problem:?}");
            assert!(problem.message.ends_with(" in eu-west-1"), "{problem:?}");
            assert!(problem.hint.contains(hint), "{problem:?}");
        }
        let proxy = problem(ErrorClass::Unreachable, Some("ProxyRefused"));
        assert_eq!(proxy.reason, "AWSUnavailable");
        assert!(
            proxy
                .message
                .starts_with("the proxy on the way to AWS refused"),
            "{proxy:?}"
        );
        assert!(proxy.hint.contains("NO_PROXY"), "{proxy:?}");
    }
}

//! AWS errors as messages with hints.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use secret_rotation_aws::{Call, Operation};
use secret_rotation_core::aws_error::{AwsError, Cause, ErrorClass};
use secret_rotation_core::names::Region;
use serde::Serialize;

use super::session::Session;
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

    /// Explains an error, with the requests that failed with its class.
    pub(crate) fn explain(&self, session: &Session, error: &AwsError, region: &Region) -> Problem {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let asked: Vec<_> = failed
            .iter()
            .filter(|(_, class)| *class == error.class)
            .map(|(operation, _)| *operation)
            .collect();
        session.problem(error, &asked, region)
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
        ErrorClass::Denied => "AccessDenied",
        ErrorClass::Credentials => "CredentialsUnavailable",
        ErrorClass::Throttled | ErrorClass::LimitExceeded => "Throttled",
        ErrorClass::Unreachable | ErrorClass::Malformed => "AWSUnavailable",
        ErrorClass::Gone => "Gone",
        ErrorClass::Refused
        | ErrorClass::CannotInvoke
        | ErrorClass::RotationPending
        | ErrorClass::Mismatch => "Refused",
        ErrorClass::Unexpected => "Unexpected",
    }
}

fn hint(error: &AwsError, region: &Region) -> String {
    if let Some(cause) = error.cause() {
        return of_cause(cause).to_owned();
    }
    let hint = match error.class {
        ErrorClass::Denied => {
            "`kubectl secret-rotation iam-policy --level audit` prints what is needed; an explicit Deny, a permissions boundary or a service control policy may also be in the way"
        }
        ErrorClass::Credentials => of_cause(Cause::CredentialsMissing),
        ErrorClass::Throttled | ErrorClass::LimitExceeded => {
            "lower --reads-per-second, or try again when other clients of the account are quiet"
        }
        ErrorClass::Unreachable => {
            "check that the region exists and how it is spelled, then the network, a proxy or the VPC endpoint"
        }
        ErrorClass::Malformed => {
            "something between here and AWS answers in its stead: look at proxies and endpoint variables"
        }
        ErrorClass::Gone => {
            return format!(
                "check the name and the region: `kubectl secret-rotation list --regions {region}` shows what there is"
            );
        }
        ErrorClass::Refused
        | ErrorClass::CannotInvoke
        | ErrorClass::RotationPending
        | ErrorClass::Mismatch => {
            return format!(
                "look at the state of the secret: `kubectl secret-rotation list --regions {region}` shows it"
            );
        }
        ErrorClass::Unexpected => "try again; the request id helps AWS support to find it",
    };
    hint.to_owned()
}

/// Returns what to do about credentials, or about something between this machine and AWS.
const fn of_cause(cause: Cause) -> &'static str {
    match cause {
        Cause::CredentialsMissing => {
            "sign in with `aws sso login` or `aws login`, choose a profile with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        }
        Cause::CredentialsNotObtained => {
            "the profile or the environment names a source of credentials that fails: `aws sts get-caller-identity` shows how"
        }
        Cause::SessionExpired => "sign in again, for instance with `aws sso login` or `aws login`",
        Cause::NotKnownInRegion => {
            "leave the region out, or enable it for the account; if no region accepts the credentials, sign in again"
        }
        Cause::ClockOff => "set the clock of this machine, for instance by switching NTP on",
        Cause::SignatureRefused => "check the secret access key, and the clock of this machine",
        Cause::ProxyRefused => {
            "look at HTTPS_PROXY and NO_PROXY, and at what the proxy lets through; a VPC endpoint belongs into NO_PROXY"
        }
        Cause::CertificateNotTrusted => {
            "something on the way opens TLS: let its certificate authority into the trust store of this machine, for instance by SSL_CERT_FILE"
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

//! Errors of AWS, sorted by what to do next.

use thiserror::Error;

use crate::words;

/// A failed call to AWS. The text never carries a response body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{}{}", self.sentence(), detail(.code.as_deref()), request(.request_id.as_deref()))]
pub struct AwsError {
    /// What to do about it.
    pub class: ErrorClass,
    /// AWS's error code, or the name of a [`Cause`] outside AWS, if there was one.
    pub code: Option<String>,
    /// AWS's request id, for support and the audit.
    pub request_id: Option<String>,
}

impl AwsError {
    /// Returns the cause behind the class, if the code shows it.
    pub fn cause(&self) -> Option<Cause> {
        let code = self.code.as_deref();
        match self.class.group() {
            ErrorGroup::Credentials => Some(Cause::of_credentials(code)),
            ErrorGroup::Unavailable => code
                .and_then(Cause::parse)
                .filter(|cause| Cause::CONNECTION.contains(cause)),
            ErrorGroup::Denied | ErrorGroup::Throttled | ErrorGroup::Answered => None,
        }
    }

    /// Returns the error without the parts that differ from request to request, for conditions and findings.
    #[must_use]
    pub fn lasting(&self) -> Self {
        Self {
            request_id: None,
            ..self.clone()
        }
    }

    /// Returns what happened, without codes.
    pub fn sentence(&self) -> &'static str {
        self.cause()
            .map_or_else(|| self.class.sentence(), Cause::sentence)
    }
}

words! {
    /// The cause of an error whose class alone would mislead. Its name is the code in [`AwsError::code`]: AWS's own
    /// code, or one of this project if AWS received no request and has none.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Cause {
        /// No provider of the chain has credentials.
        CredentialsMissing => "no AWS credentials were found",
        /// A provider is configured, but failed: `credential_process`, STS, a broken profile.
        CredentialsNotObtained => "the AWS credentials could not be obtained",
        /// The session or its token has ended.
        SessionExpired => "the AWS session has expired",
        /// The region does not accept the credentials, which may be valid in others.
        NotKnownInRegion as "UnrecognizedClientException" => "the region does not accept these AWS credentials: it is not enabled for the account, or they are not valid there",
        /// The time of the request is too far from AWS's.
        ClockOff as "RequestTimeTooSkewed" => "AWS refuses the time of the request: the local clock is off",
        /// The signature is wrong: another secret access key, or a clock that is off.
        SignatureRefused as "InvalidSignatureException" => "AWS refuses the signature of the request: the secret access key or the local clock is wrong",
        /// A proxy between the controller and AWS refuses the connection.
        ProxyRefused => "the proxy on the way to AWS refused the connection",
        /// The certificate of the peer is not trusted, for example because a proxy intercepts TLS.
        CertificateNotTrusted => "the TLS certificate on the way to AWS is not trusted",
    }
}

impl Cause {
    const CONNECTION: [Self; 2] = [Self::ProxyRefused, Self::CertificateNotTrusted];

    /// Returns the cause for one of AWS's common error codes, or for one of this project's own.
    fn of_credentials(code: Option<&str>) -> Self {
        match code {
            None
            | Some(
                "CredentialsMissing"
                | "MissingAuthenticationToken"
                | "MissingAuthenticationTokenException",
            ) => Self::CredentialsMissing,
            Some("SessionExpired" | "ExpiredTokenException" | "ExpiredToken") => {
                Self::SessionExpired
            }
            Some(
                "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "InvalidAccessKeyId"
                | "AuthFailure",
            ) => Self::NotKnownInRegion,
            Some("RequestTimeTooSkewed" | "RequestExpired") => Self::ClockOff,
            Some(
                "InvalidSignatureException"
                | "SignatureDoesNotMatch"
                | "IncompleteSignature"
                | "IncompleteSignatureException",
            ) => Self::SignatureRefused,
            Some(_) => Self::CredentialsNotObtained,
        }
    }
}

fn detail(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" ({code})"))
}

fn request(id: Option<&str>) -> String {
    id.map_or_else(String::new, |id| format!(", request {id}"))
}

words! {
    /// Error classes of AWS calls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ErrorClass {
        /// Timeout, connection failure, 5xx. A write may have been applied.
        Unreachable => "AWS could not be reached",
        /// Rate limits.
        Throttled => "AWS throttled the request",
        /// "A previous rotation isn't complete": AWS may be running it again.
        RotationPending => "AWS reports that a previous rotation is not complete",
        /// `InvalidRequestException` with any other meaning: deleted, managed, no function.
        Refused => "AWS refused the request for this secret",
        /// Permission denied.
        Denied => "AWS denied access",
        /// "Secrets Manager cannot invoke the specified Lambda function": the function lacks a permission, not the
        /// controller.
        CannotInvoke => "Secrets Manager cannot invoke the rotation function",
        /// No credentials, or expired ones: no request was processed.
        Credentials => "no usable AWS credentials",
        /// `InvalidParameterException`: a compare-and-swap was refused, or the label already existed.
        Mismatch => "the labels are not as expected",
        /// `ResourceNotFoundException`.
        Gone => "AWS reports that the secret does not exist",
        /// `LimitExceededException` on labels.
        LimitExceeded => "the secret carries too many labels",
        /// HTML with status 200, truncated JSON, implausible dates: an error, not data.
        Malformed => "AWS returned an unreadable response",
        /// Any other code.
        Unexpected => "AWS returned an unexpected error",
    }
}

/// What a failed call shows about the connection to AWS. Coarser than [`ErrorClass`], for code that treats all errors
/// about one secret alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorGroup {
    /// AWS denied access.
    Denied,
    /// There are no usable credentials.
    Credentials,
    /// AWS throttles requests.
    Throttled,
    /// AWS did not respond, or the response was not readable.
    Unavailable,
    /// AWS responded, and refused the request for this secret.
    Answered,
}

impl ErrorClass {
    /// Returns the group of the class.
    pub const fn group(self) -> ErrorGroup {
        match self {
            Self::Denied => ErrorGroup::Denied,
            Self::Credentials => ErrorGroup::Credentials,
            Self::Throttled => ErrorGroup::Throttled,
            Self::Unreachable | Self::Malformed | Self::Unexpected => ErrorGroup::Unavailable,
            Self::RotationPending
            | Self::Refused
            | Self::CannotInvoke
            | Self::Mismatch
            | Self::Gone
            | Self::LimitExceeded => ErrorGroup::Answered,
        }
    }

    /// Returns whether a write that failed with this class may still have been applied.
    pub const fn may_have_applied(self) -> bool {
        matches!(self.group(), ErrorGroup::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(class: ErrorClass, code: Option<&str>) -> String {
        let error = AwsError {
            class,
            code: code.map(str::to_owned),
            request_id: None,
        };
        error.to_string()
    }

    #[test]
    fn causes_of_refused_credentials_are_distinguished() {
        let text_of = |code| text_of(ErrorClass::Credentials, code);
        for (code, words) in [
            (None, "no AWS credentials were found"),
            (
                Some("UnrecognizedClientException"),
                "the region does not accept these AWS credentials: it is not enabled for the account, or they are not valid there (UnrecognizedClientException)",
            ),
            (
                Some("ExpiredTokenException"),
                "the AWS session has expired (ExpiredTokenException)",
            ),
            (
                Some("RequestTimeTooSkewed"),
                "AWS refuses the time of the request: the local clock is off (RequestTimeTooSkewed)",
            ),
            (
                Some("CredentialsNotObtained"),
                "the AWS credentials could not be obtained (CredentialsNotObtained)",
            ),
        ] {
            assert_eq!(text_of(code), words);
        }
    }

    #[test]
    fn causes_of_a_failed_connection_are_distinguished() {
        let text_of = |code| text_of(ErrorClass::Unreachable, code);
        assert_eq!(text_of(None), "AWS could not be reached");
        assert_eq!(
            text_of(Some("ProxyRefused")),
            "the proxy on the way to AWS refused the connection (ProxyRefused)"
        );
        assert_eq!(
            text_of(Some("InternalServiceError")),
            "AWS could not be reached (InternalServiceError)"
        );
    }
}

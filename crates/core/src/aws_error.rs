//! What AWS answered, sorted by what to do next.

use thiserror::Error;

/// A failed call to AWS. The text never carries a response body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{}{}", self.sentence(), detail(.code.as_deref()), request(.request_id.as_deref()))]
pub struct AwsError {
    /// What to do about it.
    pub class: ErrorClass,
    /// AWS's error code, or that of a [`Cause`] on this side of AWS, if there was one.
    pub code: Option<String>,
    /// AWS's request id, for support and the audit.
    pub request_id: Option<String>,
}

impl AwsError {
    /// What is behind the class, where the code tells.
    pub fn cause(&self) -> Option<Cause> {
        let code = self.code.as_deref();
        match self.class {
            ErrorClass::Credentials => Some(Cause::of_credentials(code)),
            ErrorClass::Unreachable => Cause::ON_THE_WAY
                .into_iter()
                .find(|cause| code == Some(cause.code())),
            ErrorClass::Throttled
            | ErrorClass::RotationPending
            | ErrorClass::Refused
            | ErrorClass::Denied
            | ErrorClass::CannotInvoke
            | ErrorClass::Mismatch
            | ErrorClass::Gone
            | ErrorClass::LimitExceeded
            | ErrorClass::Malformed
            | ErrorClass::Unexpected => None,
        }
    }

    /// The same error without what differs from request to request, for conditions and findings.
    #[must_use]
    pub fn lasting(&self) -> Self {
        Self {
            request_id: None,
            ..self.clone()
        }
    }

    /// What happened, without codes.
    pub fn sentence(&self) -> String {
        self.cause().map_or_else(
            || self.class.to_string(),
            |cause| cause.sentence().to_owned(),
        )
    }
}

/// What is behind an error whose class alone would send people the wrong way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// No provider of the chain has credentials.
    CredentialsMissing,
    /// A provider has something to offer, but failed: `credential_process`, STS, a broken profile.
    CredentialsNotObtained,
    /// The session or its token has ended.
    SessionExpired,
    /// The region does not know the credentials, which may work in others.
    NotKnownInRegion,
    /// The time of the request is too far from AWS's.
    ClockOff,
    /// The signature is wrong: another secret access key, or a clock that is off.
    SignatureRefused,
    /// A proxy on the way refuses.
    ProxyRefused,
    /// The certificate at the other end is not one to trust, as where something on the way opens TLS.
    CertificateNotTrusted,
}

impl Cause {
    const ON_THE_WAY: [Self; 2] = [Self::ProxyRefused, Self::CertificateNotTrusted];

    /// The word that stands for it in [`AwsError::code`] where AWS was not asked and has no code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::CredentialsMissing => "CredentialsMissing",
            Self::CredentialsNotObtained => "CredentialsNotObtained",
            Self::SessionExpired => "SessionExpired",
            Self::NotKnownInRegion => "UnrecognizedClientException",
            Self::ClockOff => "RequestTimeTooSkewed",
            Self::SignatureRefused => "InvalidSignatureException",
            Self::ProxyRefused => "ProxyRefused",
            Self::CertificateNotTrusted => "CertificateNotTrusted",
        }
    }

    /// What happened, in words that fit it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::CredentialsMissing => "no AWS credentials were found",
            Self::CredentialsNotObtained => "the AWS credentials could not be obtained",
            Self::SessionExpired => "the AWS session has expired",
            Self::NotKnownInRegion => {
                "the region does not accept these AWS credentials: it is not enabled for the account, or they are not valid there"
            }
            Self::ClockOff => "AWS refuses the time of the request: the local clock is off",
            Self::SignatureRefused => {
                "AWS refuses the signature of the request: the secret access key or the local clock is wrong"
            }
            Self::ProxyRefused => "the proxy on the way to AWS refused the connection",
            Self::CertificateNotTrusted => "the TLS certificate on the way to AWS is not trusted",
        }
    }

    /// By AWS's common error codes, and by those of [`code`](Self::code).
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

/// Error classes of AWS calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum ErrorClass {
    /// Timeout, connection trouble, 5xx. A write may have been applied.
    #[error("AWS could not be reached")]
    Unreachable,
    /// Rate limits.
    #[error("AWS throttled the request")]
    Throttled,
    /// "A previous rotation isn't complete": AWS may be running it again.
    #[error("AWS says that a previous rotation is not complete")]
    RotationPending,
    /// `InvalidRequestException` of any other meaning: deleted, managed, no function.
    #[error("AWS refused the request for this secret")]
    Refused,
    /// Permission denied.
    #[error("AWS denied access")]
    Denied,
    /// "Secrets Manager cannot invoke the specified Lambda function": not a permission of ours, but of the function.
    #[error("Secrets Manager cannot invoke the rotation function")]
    CannotInvoke,
    /// No or expired credentials: nothing was asked.
    #[error("no usable AWS credentials")]
    Credentials,
    /// `InvalidParameterException`: a compare-and-swap was refused, or a label was there already.
    #[error("the labels are not as expected")]
    Mismatch,
    /// `ResourceNotFoundException`.
    #[error("AWS does not find it")]
    Gone,
    /// `LimitExceededException` on labels.
    #[error("the secret carries too many labels")]
    LimitExceeded,
    /// HTML with status 200, truncated JSON, absurd dates: an error, not data.
    #[error("AWS sent an answer that cannot be understood")]
    Malformed,
    /// Any other code.
    #[error("AWS answered with an unexpected error")]
    Unexpected,
}

impl ErrorClass {
    /// Whether a write that failed so may have been applied all the same.
    pub const fn may_have_applied(self) -> bool {
        matches!(self, Self::Unreachable | Self::Malformed | Self::Unexpected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(class: ErrorClass, code: Option<&str>) -> String {
        let error = AwsError {
            class,
            code: code.map(str::to_owned),
            request_id: None,
        };
        error.to_string()
    }

    #[test]
    fn causes_of_refused_credentials_are_distinguished() {
        let said = |code| said(ErrorClass::Credentials, code);
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
            assert_eq!(said(code), words);
        }
    }

    #[test]
    fn causes_of_a_failed_connection_are_distinguished() {
        let said = |code| said(ErrorClass::Unreachable, code);
        assert_eq!(said(None), "AWS could not be reached");
        assert_eq!(
            said(Some("ProxyRefused")),
            "the proxy on the way to AWS refused the connection (ProxyRefused)"
        );
        assert_eq!(
            said(Some("InternalServiceError")),
            "AWS could not be reached (InternalServiceError)"
        );
    }
}

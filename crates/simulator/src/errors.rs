//! AWS's error responses, verbatim where they were recorded.

use serde_json::{Value, json};

/// An error response. All modeled errors have HTTP status 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) status: u16,
}

impl ApiError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status: 400,
        }
    }

    fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn server_error() -> Self {
        Self::new(
            "InternalServiceError",
            "An error occurred on the server side.",
        )
        .with_status(500)
    }

    pub(crate) fn unknown_operation(name: &str) -> Self {
        Self::new(
            "UnknownOperationException",
            format!("there is no operation {name}"),
        )
    }

    pub(crate) fn queue_not_found() -> Self {
        Self::new("QueueDoesNotExist", "The specified queue does not exist.")
    }

    pub(crate) fn secret_not_found() -> Self {
        Self::new(
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )
    }

    pub(crate) fn value_not_found(stage: &str) -> Self {
        Self::new(
            "ResourceNotFoundException",
            format!(
                "Secrets Manager can't find the specified secret value for staging label: {stage}"
            ),
        )
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", message)
    }

    pub(crate) fn invalid_next_token() -> Self {
        Self::new(
            "InvalidNextTokenException",
            "The NextToken value is invalid.",
        )
    }

    pub(crate) fn marked_for_deletion() -> Self {
        Self::invalid_request(
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    }

    pub(crate) fn rotation_incomplete() -> Self {
        Self::invalid_request(
            "A previous rotation isn't complete. That rotation will be reattempted.",
        )
    }

    pub(crate) fn function_missing() -> Self {
        Self::invalid_request("No Lambda rotation function ARN is associated with this secret.")
    }

    pub(crate) fn replica_is_read_only() -> Self {
        Self::invalid_request(
            "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
        )
    }

    pub(crate) fn cannot_invoke() -> Self {
        Self::new(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.",
        )
    }

    pub(crate) fn label_elsewhere(label: &str, version: &str) -> Self {
        Self::invalid_parameter(format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version {version}, so you must explicitly reference that version in RemoveFromVersionId."
        ))
    }

    pub(crate) fn current_label_required() -> Self {
        Self::invalid_parameter(
            "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
        )
    }

    pub(crate) fn body(&self) -> Value {
        json!({"__type": self.code, "Message": self.message})
    }
}

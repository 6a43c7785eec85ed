//! Names that objects and requests carry: group, version, field manager, labels and annotations.

/// The API group of all resources.
pub const GROUP: &str = "secretrotation.dev";

/// The API version of all resources.
pub const VERSION: &str = "v1alpha1";

/// The field manager of server-side apply, with which the controller writes status.
pub const FIELD_MANAGER: &str = "secret-rotation-controller";

/// Label of an automatic operation: the name of its policy.
pub const POLICY_LABEL: &str = "secretrotation.dev/policy";

/// Label of an automatic operation: the UID of its policy.
pub const POLICY_UID_LABEL: &str = "secretrotation.dev/policy-uid";

/// Label of an operation: the secret it acts on, as [`secret_label`](crate::operation::secret_label) writes it.
pub const SECRET_LABEL: &str = "secretrotation.dev/secret";

/// Annotation of a policy: a new token resets the count of attempts, once per token.
pub const RETRY_REQUESTED_ANNOTATION: &str = "secretrotation.dev/retry-requested-at";

/// Annotation of a policy: a new token requests a check now; `status.lastHandledRequest` repeats the token
/// afterwards.
pub const CHECK_REQUESTED_ANNOTATION: &str = "secretrotation.dev/check-requested-at";

//! The Kubernetes resources of `secretrotation.dev/v1alpha1` and their translation to and from core.
//!
//! Three kinds, as users write them ([`policy`], [`operation`], [`profile`]), the definitions that teach them
//! to an API server ([`crds`]), and pure functions between objects and core's nouns. Nothing here talks to a
//! server or reads a clock: times are arguments.

#![expect(
    clippy::doc_markdown,
    reason = "the comments on fields are what kubectl explain prints, as plain text"
)]

pub mod admission_policies;
pub mod approval;
mod columns;
pub mod conditions;
pub mod count;
mod crds;
pub mod duration;
pub mod invalid;
mod name_rules;
pub mod operation;
pub mod policy;
pub mod profile;
pub mod readiness;
pub mod reasons;
mod schema;
pub mod text;
pub mod time;
mod wire_enum;

pub use crds::{crds, manifests};
pub use invalid::Invalid;
pub use readiness::Readiness;

/// The API group of all kinds.
pub const GROUP: &str = "secretrotation.dev";

/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// Who writes status by server-side apply.
pub const FIELD_MANAGER: &str = "secret-rotation-controller";

/// Label of an automatic operation: the name of its policy.
pub const POLICY_LABEL: &str = "secretrotation.dev/policy";

/// Label of an automatic operation: the UID of its policy.
pub const POLICY_UID_LABEL: &str = "secretrotation.dev/policy-uid";

/// Label of an operation: which secret, by [`secret_label`](operation::secret_label).
pub const SECRET_LABEL: &str = "secretrotation.dev/secret";

/// Annotation of a policy: count attempts anew, once for each token.
pub const RETRY_REQUESTED_ANNOTATION: &str = "secretrotation.dev/retry-requested-at";

/// Annotation of a policy: check now, and echo this token in `status.lastHandledRequest`.
pub const CHECK_REQUESTED_ANNOTATION: &str = "secretrotation.dev/check-requested-at";

//! The Kubernetes resources of `secretrotation.dev/v1alpha1` and their translation to and from core.
//!
//! This crate holds the three resources as users write them ([`policy`], [`operation`], [`profile`]), their custom
//! resource definitions ([`crds`]), and pure functions that convert between objects and the types of core. Nothing
//! here calls a server or reads a clock: times are arguments.

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

/// Label of an operation: the secret it acts on, as [`secret_label`](operation::secret_label) writes it.
pub const SECRET_LABEL: &str = "secretrotation.dev/secret";

/// Annotation of a policy: a new token resets the count of attempts, once per token.
pub const RETRY_REQUESTED_ANNOTATION: &str = "secretrotation.dev/retry-requested-at";

/// Annotation of a policy: a new token requests a check now; `status.lastHandledRequest` repeats the token
/// afterwards.
pub const CHECK_REQUESTED_ANNOTATION: &str = "secretrotation.dev/check-requested-at";

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
pub mod event_reason;
pub mod health;
pub mod invalid;
mod metadata;
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
pub use metadata::{
    CHECK_REQUESTED_ANNOTATION, FIELD_MANAGER, GROUP, POLICY_LABEL, POLICY_UID_LABEL,
    RETRY_REQUESTED_ANNOTATION, SECRET_LABEL, VERSION,
};
pub use readiness::Readiness;

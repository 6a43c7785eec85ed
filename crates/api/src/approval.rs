//! Whether a person must agree, as users write it.

use schemars::JsonSchema;
use secret_rotation_core::approval as core;
use serde::{Deserialize, Serialize};

/// Whether a person must agree first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// Nobody need agree.
    #[default]
    NotRequired,
    /// Somebody other than the requester must.
    Required,
}

impl From<Approval> for core::Approval {
    fn from(approval: Approval) -> Self {
        match approval {
            Approval::NotRequired => Self::NotRequired,
            Approval::Required => Self::Required,
        }
    }
}

impl From<core::Approval> for Approval {
    fn from(approval: core::Approval) -> Self {
        match approval {
            core::Approval::NotRequired => Self::NotRequired,
            core::Approval::Required => Self::Required,
        }
    }
}

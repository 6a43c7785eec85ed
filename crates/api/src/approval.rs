//! Whether an operation needs approval, as users write it.

use secret_rotation_core::approval as core;

use crate::wire_enum::wire_enum;

wire_enum! {
    /// Whether a person must agree first.
    #[derive(Default)]
    pub enum Approval = core::Approval {
        /// No approval is required.
        #[default]
        NotRequired,
        /// A person other than the requester must approve.
        Required,
    }
}

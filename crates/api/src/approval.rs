//! Whether an operation needs approval, as users write it.

use secret_rotation_core::approval as core;

use crate::wire_enum::wire_enum;

wire_enum! {
    /// Whether a person must agree first.
    #[derive(Default)]
    pub enum Approval = core::Approval {
        /// Nobody need agree.
        #[default]
        NotRequired,
        /// Somebody other than the requester must.
        Required,
    }
}

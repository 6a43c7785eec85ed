//! The secret of an operation: in its request, and in its label.

use secret_rotation_core::names::{Arn, Region, SecretName};
use uuid::Uuid;

/// The namespace of the UUIDs that stand for ARNs in labels. It must never change: the controller finds the other
/// operations on a secret by these labels.
const ARN_NAMESPACE: Uuid = Uuid::from_u128(0x2b0e_6a4d_71c8_5f39_a1d2_94e7_08cb_6f15);

/// The secret that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretTarget {
    /// The whole ARN.
    Arn(Arn),
    /// An exact name in a region; the ARN is not known yet.
    Name {
        /// The name.
        name: SecretName,
        /// The region.
        region: Region,
    },
}

/// Returns the value of label `secretrotation.dev/secret` for an ARN: 32 hexadecimal digits, because ARNs are too
/// long for labels.
pub fn secret_label(arn: &Arn) -> String {
    Uuid::new_v5(&ARN_NAMESPACE, arn.as_str().as_bytes())
        .simple()
        .to_string()
}

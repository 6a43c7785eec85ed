//! The values of label `secret`: names may reveal more than a monitoring system should know.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::options::SecretLabel;

/// Returns the label value for a secret of this name. Returns `None` if the secret has no series.
///
/// The hash covers only the name: `printf %s NAME | sha256sum | cut -c1-16` computes it for a known name. It hides
/// names from readers, but not from those who can guess them.
pub(super) fn of(name: &str, label: SecretLabel) -> Option<Cow<'_, str>> {
    match label {
        SecretLabel::Name => Some(name.into()),
        SecretLabel::Hash => Some(hash(name).into()),
        SecretLabel::None => None,
    }
}

/// Returns the first eight bytes of the hash: enough that names do not collide, and short enough to read aloud.
fn hash(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let kept = digest.iter().take(8);
    let number = kept.fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{number:016x}")
}

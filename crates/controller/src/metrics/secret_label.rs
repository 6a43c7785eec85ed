//! What label `secret` shows: names may tell more than a monitoring system should know.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::options::SecretLabel;

/// The value for a secret of this name; `None` = it has no series.
///
/// The hash is that of the name alone: `printf %s NAME | sha256sum | cut -c1-16` finds a known name again. It hides
/// names from readers, not from those who can guess them.
pub(super) fn of(name: &str, label: SecretLabel) -> Option<Cow<'_, str>> {
    match label {
        SecretLabel::Name => Some(name.into()),
        SecretLabel::Hash => Some(hash(name).into()),
        SecretLabel::None => None,
    }
}

/// The first eight bytes: enough that names do not meet, and short enough to read aloud.
fn hash(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let kept = digest.iter().take(8);
    let number = kept.fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{number:016x}")
}

//! Times in scenario files.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};

/// An RFC 3339 time, or one relative to now: `-6h`, `+30s`, `-90d`.
pub(crate) fn instant(text: &str, now: Timestamp) -> Result<Timestamp> {
    let complaint = || {
        format!(
            "{text:?} is neither a time such as 2026-11-23T10:00:00Z nor one relative to now such as -6h or +30s"
        )
    };
    let Some(number) = text
        .strip_suffix(['s', 'm', 'h', 'd'])
        .filter(|_| text.starts_with(['+', '-']))
    else {
        return text.parse().with_context(complaint);
    };
    let number: i64 = number.parse().with_context(complaint)?;
    let seconds = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => 1,
    };
    now.checked_add(SignedDuration::from_secs(number.saturating_mul(seconds)))
        .with_context(complaint)
}

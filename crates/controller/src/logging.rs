//! Log lines on stderr: one per action, as JSON unless text is requested. A closed stderr has no effect.

use std::panic;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::options::LogFormat;

/// Maximum length of a logged panic message.
const MAX_PANIC: usize = 300;

/// Installs the subscriber, and a panic hook that logs instead of printing.
///
/// # Errors
///
/// Returns an error if `level` is not valid, or if a subscriber is already installed.
pub fn install(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(level).context("--log-level is neither a level nor a filter")?;
    let registry = tracing_subscriber::registry().with(filter);
    // Without `log_internal_errors(false)` a closed stderr makes the subscriber print to stderr, and panic.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init()?,
    }
    panic::set_hook(Box::new(|info| {
        let text: String = message(info.payload())
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_PANIC)
            .collect();
        let location = info
            .location()
            .map_or_else(String::new, ToString::to_string);
        tracing::error!(location, text, "panic caught");
    }));
    Ok(())
}

fn message(payload: &dyn std::any::Any) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
}

//! Prints the reference page of the metrics; `cargo xtask generate` writes it into the documentation.

use std::io::{Write as _, stdout};

fn main() -> anyhow::Result<()> {
    let page = secret_rotation_controller::metrics_reference()?;
    Ok(stdout().write_all(page.as_bytes())?)
}

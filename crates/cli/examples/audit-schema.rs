//! Prints the JSON schema of an audit: `docs/reference/audit.schema.json`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    let schema = secret_rotation_cli::audit_schema().map_err(io::Error::other)?;
    io::stdout().write_all(schema.as_bytes())
}

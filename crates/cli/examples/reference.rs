//! Prints the reference page of the command line, for `cargo xtask generate`.

use std::io::{self, Write as _};

use clap_markdown::MarkdownOptions;
use secret_rotation_cli::Arguments;

fn main() -> io::Result<()> {
    let options = MarkdownOptions::new()
        .title("kubectl secret-rotation".to_owned())
        .show_footer(false);
    let page = clap_markdown::help_markdown_custom::<Arguments>(&options);
    // Lines end where their text ends, as everywhere in the documentation.
    let lines = page
        .trim_end()
        .lines()
        .map(|line| format!("{}\n", line.trim_end()));
    io::stdout().write_all(lines.collect::<String>().as_bytes())
}

//! The runbooks of `docs/runbooks` and their commands.

use std::collections::BTreeSet;
use std::fs;

use testenv::project;

/// How commands call the plugin.
const PLUGIN: &str = "kubectl secret-rotation ";

/// Commands that need more than an API server, such as nodes.
const NEED_NODES: [&str; 2] = ["kubectl logs ", "kubectl rollout "];

/// One page.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// Its file name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Reads all pages, by name.
pub fn all() -> Vec<Runbook> {
    let folder = project::root().join("docs/runbooks");
    let entries = fs::read_dir(folder).expect("there are runbooks");
    let mut pages: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| Runbook {
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            text: fs::read_to_string(path).expect("a page"),
        })
        .collect();
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    pages
}

impl Runbook {
    /// Returns the subcommands of the plugin that the page names, in blocks and within sentences.
    pub fn plugin_commands(&self) -> BTreeSet<String> {
        let uses = self.text.split(PLUGIN).skip(1);
        uses.filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_lowercase() && c != '-')
                .next()
        })
        .map(str::to_owned)
        .collect()
    }

    /// Returns its blocks as shell scripts for an API server without nodes and without the plugin, without empty ones.
    pub fn scripts(&self) -> Vec<String> {
        let blocks = self.text.split("```").skip(1).step_by(2);
        blocks
            .map(without_margin)
            .map(|block| {
                let lines = block.lines().filter(|line| can_run(line));
                lines.fold(String::new(), |script, line| script + line + "\n")
            })
            .filter(|script| !script.is_empty())
            .collect()
    }
}

/// Removes the indentation of a block within a list.
fn without_margin(block: &str) -> String {
    let block = block.trim_start_matches('\n');
    let margin = block.len() - block.trim_start().len();
    let lines = block
        .lines()
        .map(|line| line.get(margin..).unwrap_or_default());
    lines
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n")
}

fn can_run(line: &str) -> bool {
    !line.starts_with(PLUGIN) && !NEED_NODES.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_the_blocks_without_margin_and_plugin() {
        let text = "# A\n\n```\nkubectl secret-rotation status\n```\n\n1. Do:\n\n   ```\n   kubectl get srp\n   kubectl secret-rotation audit\n   kubectl apply -f - <<END\n   a:\n     b: 1\n   END\n   ```\n   and `kubectl secret-rotation iam-policy`.\n";
        let page = Runbook {
            name: "a.md".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(
            page.scripts(),
            ["kubectl get srp\nkubectl apply -f - <<END\na:\n  b: 1\nEND\n"]
        );
        assert_eq!(
            page.plugin_commands(),
            ["audit", "iam-policy", "status"].map(str::to_owned).into()
        );
    }
}

//! The live table: redrawn in place on a terminal, otherwise one line per change.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stdout};
use std::time::Duration;

use super::state::{Finding, Policy, State};

/// The usual number of columns of a terminal.
const WIDTH: usize = 80;

/// The maximum number of findings shown per policy.
const SHOWN: usize = 12;

/// The screen, with what was drawn last.
#[derive(Debug, Default)]
pub(super) struct Screen {
    redraws: bool,
    lines_drawn: usize,
    last_line: String,
}

impl Screen {
    /// Creates a screen on standard output.
    pub(super) fn new() -> Self {
        Self {
            redraws: stdout().is_terminal(),
            ..Self::default()
        }
    }

    /// Shows the state.
    pub(super) fn show(&mut self, state: &State, elapsed: Duration) {
        if self.redraws {
            self.redraw(&table(state, elapsed));
        } else {
            self.note(state, elapsed);
        }
    }

    fn redraw(&mut self, table: &str) {
        let up = if self.lines_drawn > 0 {
            format!("\x1b[{}A\x1b[J", self.lines_drawn)
        } else {
            String::new()
        };
        self.lines_drawn = table.lines().count();
        write_out(&format!("{up}{table}"));
    }

    fn note(&mut self, state: &State, elapsed: Duration) {
        let line = state
            .policies
            .iter()
            .map(summary)
            .collect::<Vec<_>>()
            .join("   ");
        if line != self.last_line {
            write_out(&format!("{:>4} s  {line}\n", elapsed.as_secs()));
            self.last_line = line;
        }
    }
}

fn summary(policy: &Policy) -> String {
    let counts = ["healthy", "stuck", "rotating", "overdue"]
        .map(|name| format!("{} {name}", policy.count(name)));
    format!("{}: {}", policy.name, counts.join(", "))
}

fn table(state: &State, elapsed: Duration) -> String {
    let mut table = format!(
        "{} s\n{:<24}{:<11}{:<24}{:>7} {:>7} {:>5}\n",
        elapsed.as_secs(),
        "POLICY",
        "MODE",
        "HEALTHY",
        "SECRETS",
        "HEALTHY",
        "STUCK"
    );
    for policy in &state.policies {
        let numbers = ["selected", "healthy", "stuck"].map(|name| policy.count(name));
        let [selected, healthy, stuck] = numbers;
        line(
            &mut table,
            &format!(
                "{:<24}{:<11}{:<24}{selected:>7} {healthy:>7} {stuck:>5}",
                policy.name, policy.mode, policy.healthy_condition
            ),
        );
    }
    line(&mut table, "");
    line(
        &mut table,
        &format!("{:<26}{:<22}{}", "SECRET", "STATE", "WHAT IS DONE"),
    );
    for policy in &state.policies {
        for finding in policy.findings.iter().take(SHOWN) {
            line(&mut table, &row(finding));
        }
        if policy.findings.len() > SHOWN {
            line(
                &mut table,
                &format!(
                    "… and {} more in {}",
                    policy.findings.len() - SHOWN,
                    policy.name
                ),
            );
        }
    }
    table
}

fn row(finding: &Finding) -> String {
    let done = if finding.remedy.is_empty() {
        &finding.message
    } else {
        &finding.remedy
    };
    let done = shortened(done, WIDTH - 48);
    format!("{:<26}{:<22}{done}", finding.name, finding.state)
}

/// Shortens a message to a width: to its first part if that fits, otherwise after a word.
fn shortened(text: &str, width: usize) -> String {
    let fits = |text: &str| text.chars().count() <= width;
    let first = [";", ":", " since "]
        .into_iter()
        .filter_map(|end| text.split(end).next());
    if let Some(text) = std::iter::once(text).chain(first).find(|text| fits(text)) {
        return text.to_owned();
    }
    let cut: String = text.chars().take(width - 1).collect();
    let words = cut
        .rsplit_once(' ')
        .map_or(cut.as_str(), |(words, _)| words);
    format!("{words}…")
}

fn line(table: &mut String, text: &str) {
    writeln!(table, "{text}").expect("writing to a string does not fail");
}

fn write_out(text: &str) {
    let mut out = stdout().lock();
    // A closed standard output is no reason to stop the demo.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_at_its_first_part_or_at_a_word() {
        let dated = "scheduled for deletion since 2026-11-23T10:00:00Z";
        assert_eq!(shortened(dated, 32), "scheduled for deletion");
        let long = "the version that is pending is not the current one";
        assert_eq!(shortened(long, 20), "the version that…");
        assert_eq!(
            shortened("pinned, step 2: wait", 32),
            "pinned, step 2: wait"
        );
    }
}

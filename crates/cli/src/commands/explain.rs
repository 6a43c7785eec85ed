//! `explain`: explains states, reasons and values of `blockedBy` with the text of `docs/reasons.md`.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::reasons;

use crate::CommandError;
use crate::app::App;
use crate::ui::output;
use crate::view::reasons::{Entry, entries};

/// The longest line, however wide the terminal is: longer ones are hard to read.
const WIDTH: usize = 80;

/// The width of the names in the list.
const NAME: usize = 22;

/// Explain a state, a reason or a value of blockedBy; list all of them if none is given.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Word to explain, in upper or lower case, such as Stuck, `AttemptsExhausted` or `OutsideWindow`.
    #[arg(value_name = "REASON")]
    pub reason: Option<String>,
}

/// Prints the explanation of a word, or the list of all words.
#[expect(clippy::unused_async, reason = "every command has the same signature")]
pub(crate) async fn run(_app: &App, args: &ExplainArgs) -> Result<ExitCode, CommandError> {
    let entries = entries();
    output::print(&match &args.reason {
        Some(word) => about(word, &entries)?,
        None => listed(&entries),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns all paragraphs about a word: it can occur in several groups.
fn about(word: &str, entries: &[Entry]) -> Result<String, CommandError> {
    let found: Vec<_> = entries
        .iter()
        .filter(|entry| entry.name.eq_ignore_ascii_case(word))
        .map(formatted)
        .collect();
    if found.is_empty() {
        return Err(unknown(word, entries));
    }
    Ok(found.join("\n"))
}

fn formatted(entry: &Entry) -> String {
    let text = textwrap::fill(
        &entry.text,
        textwrap::Options::new(WIDTH)
            .initial_indent("  ")
            .subsequent_indent("  "),
    );
    format!("{} ({})\n{text}\n", entry.name, entry.group)
}

fn listed(entries: &[Entry]) -> String {
    let mut lines = Vec::new();
    let mut group = "";
    for entry in entries {
        if entry.group != group {
            lines.extend((!group.is_empty()).then(String::new));
            group = &entry.group;
            lines.push(group.to_owned());
        }
        let sentence = reasons::sentence(&entry.name).unwrap_or_default();
        lines.push(format!("  {:<NAME$} {sentence}", entry.name));
    }
    lines.join("\n") + "\n"
}

fn unknown(word: &str, entries: &[Entry]) -> CommandError {
    let distance = |entry: &&Entry| {
        strsim::damerau_levenshtein(&entry.name.to_ascii_lowercase(), &word.to_ascii_lowercase())
    };
    let failure = CommandError::usage(format!("no state or reason is named {word:?}"));
    match entries.iter().min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= nearest.name.len() / 2 => {
            failure.with_hint(format!("did you mean {}?", nearest.name))
        }
        Some(_) | None => failure.with_hint("`kubectl secret-rotation explain` lists all of them"),
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::block::BlockReason;
    use secret_rotation_core::survey::State;

    use super::*;

    #[test]
    fn every_state_and_every_block_reason_is_explained_in_any_case() {
        let entries = entries();
        let states = State::ALL.map(State::name).to_vec();
        let blocks = BlockReason::ALL.map(BlockReason::name).to_vec();
        for word in states.into_iter().chain(blocks) {
            let text = about(&word.to_ascii_lowercase(), &entries).expect(word);
            assert!(text.starts_with(word), "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= WIDTH),
                "{text}"
            );
        }
    }

    #[test]
    fn a_paragraph_is_wrapped_below_its_word() {
        let entry = Entry {
            name: "OutsideWindow".to_owned(),
            group: "blockedBy of a finding".to_owned(),
            text: "No maintenance window is open. "
                .repeat(3)
                .trim()
                .to_owned(),
        };
        assert_eq!(
            formatted(&entry),
            "OutsideWindow (blockedBy of a finding)\n  No maintenance window is open. No maintenance window is open. No maintenance\n  window is open.\n"
        );
        let words = entries();
        assert!(words.iter().all(|entry| !entry.text.contains("](")));
    }

    #[test]
    fn a_typing_mistake_gets_a_suggestion() {
        let failure = about("Stcuk", &entries()).expect_err("no such word");
        assert_eq!(
            failure.to_string(),
            "error: no state or reason is named \"Stcuk\"\nhint: did you mean Stuck?"
        );
        let failure = about("xyzzyxyzzyxyzzy", &entries()).expect_err("no such word");
        assert!(failure.to_string().contains("lists all of them"));
    }

    #[test]
    fn the_list_names_every_word_below_its_group_with_a_sentence() {
        let text = listed(&entries());
        let first = "States of a secret\n  Stuck                  a rotation has stopped halfway\n";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("\n\nblockedBy of a finding\n  ObserveOnly            the policy"));
        let width = |line: &str| line.chars().count();
        assert!(text.lines().all(|line| width(line) <= WIDTH), "{text}");
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    }
}

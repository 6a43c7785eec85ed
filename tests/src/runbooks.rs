//! The runbooks of `docs/runbooks`: their commands, and the output that they show.
//!
//! A block of `sh` is a command. The block of `text` that follows it is a part of its output. Words in capitals stand for
//! names: `sh SECRET=payments/db` gives one of them, the test gives the others. `sh exits=1` states the exit status.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use testenv::project;
use xtask::markdown::{Block, Page};

/// Words that stand for names on these pages.
const PLACEHOLDERS: [&str; 13] = [
    "CONTROLLER_NAMESPACE",
    "CURRENT",
    "FUNCTION",
    "NAMESPACE",
    "OPERATION",
    "PENDING",
    "POD",
    "POLICY",
    "PROFILE",
    "REASON",
    "REGION",
    "SECRET",
    "TOKEN",
];

/// One page.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// The name of the page and of its alert, in lower case.
    pub name: String,
    /// The page.
    pub page: Page,
    /// Its text.
    pub text: String,
}

/// A command of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The page and the line.
    pub place: String,
    /// The line of the heading above it, such as `## What to do`.
    pub heading: String,
    /// The script, with placeholders.
    pub script: String,
    /// The values of placeholders that the block gives.
    pub words: BTreeMap<String, String>,
    /// The exit status that it must have.
    pub status: i32,
    /// Why it cannot run here.
    pub skipped: Option<String>,
    /// Lines that its output must contain.
    pub shows: Vec<String>,
}

/// Returns all pages, by name.
pub fn all() -> Vec<Runbook> {
    let folder = project::root().join("docs/runbooks");
    let entries = std::fs::read_dir(&folder).expect("there are runbooks");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|file| {
            let path = Path::new("docs/runbooks").join(&file);
            let text = std::fs::read_to_string(folder.join(&file)).expect("a page");
            Runbook {
                name: file.trim_end_matches(".md").to_owned(),
                page: Page::parse(&path, &text),
                text,
            }
        })
        .collect()
}

impl Runbook {
    /// Returns its commands, in their order.
    ///
    /// # Errors
    /// A block is neither a command nor the output of the command before it.
    pub fn steps(&self) -> Result<Vec<Step>, String> {
        let mut steps: Vec<Step> = Vec::new();
        let mut follows_command = false;
        for block in &self.page.blocks {
            let place = self.page.at(block.line);
            if block.info == "text" {
                let step = steps.last_mut().filter(|_| follows_command);
                let step = step.ok_or(format!("{place}: no command has this output"))?;
                step.shows = block.text.lines().map(str::to_owned).collect();
            } else {
                steps.push(step(block, place, self.heading_above(block.line))?);
            }
            follows_command = block.info != "text";
        }
        Ok(steps)
    }

    /// Returns the last heading before a line.
    fn heading_above(&self, line: usize) -> String {
        let before = self.text.lines().take(line);
        let heading = before.filter(|line| line.starts_with("## ")).last();
        heading.unwrap_or_default().to_owned()
    }

    /// Returns the placeholders of its commands.
    pub fn placeholders(&self) -> BTreeSet<String> {
        let blocks = self.page.blocks.iter();
        let commands = blocks.filter(|block| block.info != "text");
        commands
            .flat_map(|block| split(&block.text))
            .filter(|word| PLACEHOLDERS.contains(word))
            .map(str::to_owned)
            .collect()
    }
}

fn step(block: &Block, place: String, heading: String) -> Result<Step, String> {
    let mut info = block.info.split_whitespace();
    if info.next() != Some("sh") {
        return Err(format!("{place}: {:?} is neither sh nor text", block.info));
    }
    let mut step = Step {
        script: block.text.clone(),
        words: BTreeMap::new(),
        status: 0,
        skipped: None,
        shows: Vec::new(),
        heading,
        place,
    };
    for word in info {
        let wrong = format!("{}: {word:?} is not understood", step.place);
        let (name, value) = word.split_once('=').ok_or(wrong.clone())?;
        match name {
            "exits" => step.status = value.parse().map_err(|_| wrong)?,
            "skip-because" => step.skipped = Some(value.to_owned()),
            _ if PLACEHOLDERS.contains(&name) => {
                step.words.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(wrong),
        }
    }
    Ok(step)
}

/// Splits a text into whole words: `SECRET` is not part of `SECRET_ROTATION_…`.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

/// Replaces placeholders. The error names one that has no value.
///
/// # Errors
/// A placeholder has no value.
pub fn with_words(script: &str, words: &BTreeMap<String, String>) -> Result<String, String> {
    let belongs = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let (mut text, mut word) = (String::new(), String::new());
    for letter in script.chars().chain(['\n']) {
        if belongs(letter) {
            word.push(letter);
            continue;
        }
        match words.get(&word) {
            Some(value) => text.push_str(value),
            None if PLACEHOLDERS.contains(&word.as_str()) => {
                return Err(format!("{word} has no value"));
            }
            None => text.push_str(&word),
        }
        text.push(letter);
        word.clear();
    }
    Ok(text)
}

/// Returns the lines of a page that an output lacks, apart from spaces, times, ages, versions and generated names. A line that
/// ends in `…` is the beginning of a longer one.
pub fn lacking<'a>(shows: &'a [String], output: &str) -> Vec<&'a String> {
    let there: BTreeSet<_> = output.lines().map(normalized).collect();
    let is_there = |line: &str| match line.strip_suffix('…') {
        Some(beginning) => {
            let beginning = normalized(beginning);
            there.iter().any(|line| line.starts_with(&beginning))
        }
        None => there.contains(&normalized(line)),
    };
    let lines = shows.iter().filter(|line| line.trim() != "…");
    lines.filter(|line| !is_there(line)).collect()
}

/// Joins words with one space, and replaces those that differ from run to run.
fn normalized(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let belongs = |letter: char| letter.is_ascii_alphanumeric() || "-_.:+".contains(letter);
        let (mut text, mut part) = (String::new(), String::new());
        for letter in word.chars().map(Some).chain([None]) {
            if let Some(letter) = letter.filter(|letter| belongs(*letter)) {
                part.push(letter);
            } else {
                text.push_str(if varies(&part) { "#" } else { &part });
                part.clear();
                text.extend(letter);
            }
        }
        text.replace("<invalid>", "#")
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns whether a word may be another in the next run: digits among letters, or the random end of a name.
fn varies(word: &str) -> bool {
    let has = |test: fn(&char) -> bool| word.chars().any(|letter| test(&letter));
    let mixed = has(char::is_ascii_digit) && !word.chars().all(|letter| letter.is_ascii_digit());
    let end = word.rsplit('-').next().unwrap_or_default();
    let is_hex = word.len() == 8 && word.chars().all(|letter| letter.is_ascii_hexdigit());
    let is_random = end.len() == 10
        && end != "controller"
        && word.contains('-')
        && end == end.to_ascii_lowercase();
    mixed || is_hex || is_random
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runbook(text: &str) -> Runbook {
        Runbook {
            name: "a".to_owned(),
            page: Page::parse(Path::new("a.md"), text),
            text: text.to_owned(),
        }
    }

    fn words(words: &[(&str, &str)]) -> BTreeMap<String, String> {
        let words = words.iter();
        words
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_command_has_its_words_its_status_and_its_output() {
        let page = runbook(
            "# A\n\n## One\n\n1. Do:\n\n   ```sh SECRET=app/db exits=1\n   kubectl get SECRET\n   ```\n\n   It prints:\n\n   ```text\n   app/db  7s\n   …\n   ```\n\n## Two\n\n```sh skip-because=that\naws x\n```\n",
        );
        let steps = page.steps().expect("it is understood");
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[0].words, words(&[("SECRET", "app/db")]));
        assert_eq!(
            (&*steps[0].heading, &*steps[1].heading),
            ("## One", "## Two")
        );
        assert_eq!((steps[0].status, steps[1].status), (1, 0));
        assert_eq!(steps[0].shows, ["app/db  7s", "…"]);
        assert_eq!(steps[1].skipped.as_deref(), Some("that"));
        assert_eq!(page.placeholders(), ["SECRET".to_owned()].into());
    }

    #[test]
    fn every_block_is_a_command_or_its_output() {
        for text in [
            "```\nkubectl get\n```\n",
            "```text\nan output\n```\n",
            "```sh\na\n```\n```text\nb\n```\n```text\nc\n```\n",
            "```sh exits=no\na\n```\n",
            "```sh NAME=no\na\n```\n",
        ] {
            runbook(text).steps().expect_err(text);
        }
    }

    #[test]
    fn whole_words_are_replaced_and_none_is_left() {
        let known = words(&[("SECRET", "app/db")]);
        let text = with_words("rotate SECRET; echo SECRET_ROTATION_X", &known);
        assert_eq!(
            text.as_deref(),
            Ok("rotate app/db; echo SECRET_ROTATION_X\n")
        );
        with_words("get POLICY", &known).expect_err("POLICY has no value");
    }

    #[test]
    fn an_output_may_differ_in_times_and_generated_names_only() {
        let output = "app/db   Stuck   1a2b3c4d  26h\npayments-x7k2m4q9ab created\n2 of 2 replicas";
        let lacks = |line: &str| !lacking(&[line.to_owned()], output).is_empty();
        assert!(!lacks("app/db Stuck ffffffff 2h"));
        assert!(!lacks("payments-abcdefghij created"));
        assert!(!lacks("…"));
        assert!(!lacks("app/db Stuck …"));
        assert!(lacks("app/db Healthy …"));
        assert!(lacks("2 of 2 replicas are …"));
        assert!(lacks("app/db Healthy ffffffff 2h"));
        assert!(lacks("1 of 2 replicas"));
        assert!(lacks("billing-abcdefghi created"));
    }
}

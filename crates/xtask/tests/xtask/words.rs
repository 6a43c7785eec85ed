//! The English of what users read: pages and generated references, descriptions and messages in manifests, comments of the
//! chart's values, alerts and dashboard.
//!
//! Only prose is checked. Code spans and code blocks may contain any word.

use std::path::{Path, PathBuf};

use testenv::project;
use xtask::markdown::{self, Piece};

/// One phrase per line that readers may not understand, and what to write instead.
const PHRASES: &str = include_str!("words/phrases.txt");

/// Where users read text other than pages: files, and folders whose files count.
const TEXTS: [&str; 14] = [
    ".github/ISSUE_TEMPLATE",
    ".github/pull_request_template.md",
    "charts/secret-rotation-controller/Chart.yaml",
    "charts/secret-rotation-controller/files",
    "charts/secret-rotation-controller/templates/NOTES.txt",
    "charts/secret-rotation-controller/values.yaml",
    "deploy/admission",
    "deploy/controller",
    "deploy/crds",
    "deploy/events",
    "deploy/gitops",
    "deploy/iam",
    "deploy/prometheus",
    "deploy/samples",
];

/// A phrase, and what to write instead.
struct Phrase {
    words: Vec<&'static str>,
    instead: &'static str,
}

fn phrases() -> Vec<Phrase> {
    let parts = PHRASES.lines().map(|line| {
        let (phrase, instead) = line.split_once(" = ").expect("a phrase, and what to write");
        let words = phrase.split(' ').collect();
        Phrase { words, instead }
    });
    parts.collect()
}

/// Returns all prose, each piece with the file that contains it.
fn prose() -> Vec<(String, Piece)> {
    let pages = markdown::all().expect("the pages can be read");
    let of_pages = pages.into_iter().flat_map(|page| {
        let path = page.path.display().to_string();
        let pieces = page.prose.into_iter();
        pieces.map(move |piece| (path.clone(), piece))
    });
    let texts = TEXTS.iter().flat_map(|path| files(Path::new(path)));
    let of_texts = texts.map(|path| {
        let text = std::fs::read_to_string(project::root().join(&path)).expect("it is a text");
        let text = without_code(&text);
        (path.display().to_string(), Piece::new(&text, 1))
    });
    of_pages.chain(of_texts).collect()
}

/// Returns a file, or the files of a folder except its pages.
fn files(path: &Path) -> Vec<PathBuf> {
    let full = project::root().join(path);
    if full.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(full).expect("the folder exists");
    let paths = entries.map(|entry| path.join(entry.expect("it can be listed").file_name()));
    let is_text = |path: &PathBuf| {
        project::root().join(path).is_file() && path.extension() != Some("md".as_ref())
    };
    let mut files: Vec<_> = paths.filter(is_text).collect();
    files.sort();
    files
}

/// Replaces what backticks enclose on a line by one backtick.
fn without_code(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let outside: Vec<_> = line.split('`').step_by(2).collect();
        outside.join("`")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the words of a text, each with its line.
fn words(piece: &Piece) -> Vec<(usize, &str)> {
    let lines = piece.text.lines().enumerate();
    lines
        .flat_map(|(index, line)| {
            line.split_whitespace()
                .map(move |word| (piece.line + index, word))
        })
        .collect()
}

/// Returns whether words are a phrase, apart from case and from punctuation before and after it.
fn is_phrase(words: &[(usize, &str)], phrase: &[&str]) -> bool {
    let is_mark = |letter: char| !letter.is_alphanumeric() && letter != '-' && letter != '`';
    let last = phrase.len() - 1;
    words
        .iter()
        .zip(phrase)
        .enumerate()
        .all(|(index, ((_, word), expected))| {
            let word = if index == 0 {
                word.trim_start_matches(is_mark)
            } else {
                word
            };
            let word = if index == last {
                word.trim_end_matches(is_mark)
            } else {
                word
            };
            word.eq_ignore_ascii_case(expected)
        })
}

/// Returns a complaint about each phrase in a text.
fn complaints(path: &str, piece: &Piece, phrases: &[Phrase]) -> Vec<String> {
    let words = words(piece);
    let mut complaints = Vec::new();
    for phrase in phrases {
        let places = words.windows(phrase.words.len());
        for place in places.filter(|place| is_phrase(place, &phrase.words)) {
            let (line, found) = (place[0].0, phrase.words.join(" "));
            complaints.push(format!(
                "{path}:{line}: write {} instead of {found:?}",
                phrase.instead
            ));
        }
    }
    complaints
}

#[test]
fn readers_find_no_phrase_that_only_its_author_understands() {
    let phrases = phrases();
    let found = prose().into_iter();
    let found: Vec<_> = found
        .flat_map(|(path, piece)| complaints(&path, &piece, &phrases))
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn phrases_are_lower_case_and_sorted() {
    let lines: Vec<_> = PHRASES.lines().collect();
    assert!(lines.is_sorted(), "{lines:?}");
    assert_eq!(PHRASES.to_lowercase().replace("crds", "CRDs"), PHRASES);
}

#[test]
fn a_phrase_is_found_across_lines_and_punctuation_and_not_in_code() {
    let phrases = [
        Phrase {
            words: vec!["by", "hand"],
            instead: "manually",
        },
        Phrase {
            words: vec!["mend"],
            instead: "fix",
        },
    ];
    let page = markdown::Page::parse(
        Path::new("p.md"),
        "# By hand\n\nIt is done by\nhand, or `mend`; amend (mend)\n\n```\nby hand\n```\n\n| a | by `x` hand |\n|---|---|\n| [mend](mend.md) | by-hand |\n",
    );
    let found: Vec<_> = page
        .prose
        .iter()
        .flat_map(|piece| complaints("p.md", piece, &phrases))
        .collect();
    assert_eq!(
        found,
        [
            "p.md:1: write manually instead of \"by hand\"",
            "p.md:3: write manually instead of \"by hand\"",
            "p.md:4: write fix instead of \"mend\"",
            "p.md:12: write fix instead of \"mend\"",
        ]
    );
    let text = without_code("a: 1  # done by hand\nhand: `mend`, `by` hand\n");
    assert_eq!(text, "a: 1  # done by hand\nhand: `, ` hand");
    assert_eq!(
        complaints("v.yaml", &Piece::new(&text, 1), &phrases),
        ["v.yaml:1: write manually instead of \"by hand\""]
    );
}

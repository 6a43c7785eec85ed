//! The pages of the documentation as data: headings, links, code and tables, each with its line.
//!
//! This is not a renderer: it is how tests read the pages that mdBook and GitHub render.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use testenv::project;

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its path from the top level of the checkout.
    pub path: PathBuf,
    /// The anchors of its headings, in order.
    pub anchors: Vec<String>,
    /// The targets of its links.
    pub links: Vec<Piece>,
    /// Its headings, paragraphs and cells without code: a backtick stands for each code span.
    pub prose: Vec<Piece>,
    /// The code within its sentences.
    pub spans: Vec<Piece>,
    /// Its code blocks.
    pub blocks: Vec<Block>,
    /// Its tables: the text of the first cell of each row, without the header.
    pub tables: Vec<Vec<Piece>>,
}

/// A piece of text and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// The line, counted from 1.
    pub line: usize,
}

/// A block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The language after the fence, such as `sh` or `yaml`; empty if there is none.
    pub info: String,
    /// The code.
    pub text: String,
    /// The line of the fence, counted from 1.
    pub line: usize,
}

/// Reads all pages of the checkout, in the order of their paths.
///
/// # Errors
///
/// Returns an error if a page or a folder cannot be read.
pub fn all() -> Result<Vec<Page>> {
    let mut paths = Vec::new();
    collect(Path::new(""), &mut paths)?;
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

/// Collects the paths of the pages below a folder. Hidden folders contain no pages for readers, and `target` contains the
/// output of cargo and mdBook.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(project::root().join(folder))
        .with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        let hidden = name.to_string_lossy().starts_with('.') || name == "target";
        if entry.file_type()?.is_dir() {
            if !hidden {
                collect(&path, paths)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    Ok(())
}

impl Page {
    /// Reads a page of the checkout.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(project::root().join(path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::parse(path, &text))
    }

    /// Parses the text of a page.
    pub fn parse(path: &Path, text: &str) -> Self {
        let page = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let mut reader = Reader {
            page,
            title: None,
            prose: None,
            in_block: false,
            cell: None,
            row_is_new: false,
            titles: BTreeMap::new(),
        };
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            reader.take(event, line);
        }
        reader.page
    }

    /// Formats the page and a line of it, as compilers do.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// A page that is being parsed.
struct Reader {
    page: Page,
    title: Option<String>,
    /// The heading, paragraph or cell that is being read.
    prose: Option<Piece>,
    in_block: bool,
    /// The first cell of a row, while it is parsed.
    cell: Option<Piece>,
    row_is_new: bool,
    titles: BTreeMap<String, usize>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) {
        if let Event::Start(tag) = event {
            if !is_inline(tag.to_end()) {
                self.page.prose.extend(self.prose.take());
            }
            self.open(tag, line);
        } else if let Event::End(tag) = event {
            if !is_inline(tag) {
                self.page.prose.extend(self.prose.take());
            }
            self.close(tag);
        } else if let Event::Text(text) = event {
            self.text(&text);
            if !self.in_block {
                self.prose(&text, line);
            }
        } else if let Event::Code(code) = event {
            self.text(&code);
            self.prose("`", line);
            self.page.spans.push(Piece::new(&code, line));
        }
    }

    /// Adds to the prose, with as many line breaks as the page has before each word.
    fn prose(&mut self, text: &str, line: usize) {
        let prose = self.prose.get_or_insert_with(|| Piece::new("", line));
        let read = prose.line + prose.text.matches('\n').count();
        prose.text.push_str(&"\n".repeat(line.saturating_sub(read)));
        prose.text.push_str(text);
    }

    fn open(&mut self, tag: Tag<'_>, line: usize) {
        if let Tag::Heading { .. } = tag {
            self.title = Some(String::new());
        } else if let Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } = tag {
            self.page.links.push(Piece::new(&dest_url, line));
        } else if let Tag::CodeBlock(kind) = tag {
            self.in_block = true;
            self.page.blocks.push(Block {
                info: info(&kind).to_owned(),
                text: String::new(),
                line,
            });
        } else if tag == Tag::TableRow {
            self.row_is_new = true;
        } else if tag == Tag::TableCell {
            let first = std::mem::take(&mut self.row_is_new);
            self.cell = first.then(|| Piece::new("", line));
        } else if matches!(tag, Tag::Table(_)) {
            self.page.tables.push(Vec::new());
        }
    }

    fn close(&mut self, tag: TagEnd) {
        if tag == TagEnd::CodeBlock {
            self.in_block = false;
        } else if let Some(cell) = self.cell.take_if(|_| tag == TagEnd::TableCell) {
            self.page
                .tables
                .last_mut()
                .into_iter()
                .for_each(|table| table.push(cell.clone()));
        } else if let Some(title) = self.title.take_if(|_| matches!(tag, TagEnd::Heading(_))) {
            let anchor = anchor(&title);
            let seen = self.titles.entry(anchor.clone()).or_default();
            let anchors = &mut self.page.anchors;
            anchors.push(if *seen == 0 {
                anchor
            } else {
                format!("{anchor}-{seen}")
            });
            *seen += 1;
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(title) = &mut self.title {
            title.push_str(text);
        }
        if let Some(cell) = &mut self.cell {
            cell.text.push_str(text);
        }
        if let Some(block) = self.page.blocks.last_mut().filter(|_| self.in_block) {
            block.text.push_str(text);
        }
    }
}

impl Piece {
    /// Builds a piece of text that begins on a line.
    pub fn new(text: &str, line: usize) -> Self {
        Self {
            text: text.to_owned(),
            line,
        }
    }
}

/// Returns whether a sentence continues across the beginning or the end of an element.
const fn is_inline(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image
    )
}

fn info<'a>(kind: &'a CodeBlockKind<'_>) -> &'a str {
    match kind {
        CodeBlockKind::Fenced(info) => info.trim(),
        CodeBlockKind::Indented => "",
    }
}

/// Converts a title to an anchor as GitHub and mdBook do: lower case, hyphens for spaces, no punctuation.
fn anchor(title: &str) -> String {
    let kept = title.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        other => other.is_alphanumeric().then_some(other),
    });
    kept.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, line: usize) -> Piece {
        Piece::new(text, line)
    }

    #[test]
    fn headings_links_spans_and_blocks_are_found_with_their_lines() {
        let text = "# A `b` c!\n\nSee [x](y.md#z), `--flag`.\n\n```sh skip-because=that\nrun\nit\n```\n\n## A b c\n\n| [t](u) |\n|---|\n| r `1` | x |\n| r 2 |\n";
        let page = Page::parse(Path::new("p.md"), text);
        let expected = Page {
            path: "p.md".into(),
            anchors: vec!["a-b-c".into(), "a-b-c-1".into()],
            links: vec![piece("y.md#z", 3), piece("u", 12)],
            prose: vec![
                piece("A ` c!", 1),
                piece("See x, `.", 3),
                piece("A b c", 10),
                piece("t", 12),
                piece("r `", 14),
                piece("r 2", 15),
            ],
            spans: vec![piece("b", 1), piece("--flag", 3), piece("1", 14)],
            blocks: vec![Block {
                info: "sh skip-because=that".into(),
                text: "run\nit\n".into(),
                line: 5,
            }],
            tables: vec![vec![piece("r 1", 14), piece("r 2", 15)]],
        };
        assert_eq!(page, expected);
        assert_eq!(page.at(3), "p.md:3");
    }

    #[test]
    fn anchors_are_those_of_github() {
        let anchors = ["Three clocks", "Why AWSPENDING ≠ AWSCURRENT", "a_b-c (d)"].map(anchor);
        assert_eq!(
            anchors,
            ["three-clocks", "why-awspending--awscurrent", "a_b-c-d"]
        );
    }
}

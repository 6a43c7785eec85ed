//! Checks the built book: no dead link, no page that no other page links to, and no file that no reader needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Pages that no table of contents lists.
const UNLISTED: [&str; 4] = ["404.html", "index.html", "print.html", "toc.html"];

/// How the names of published files end.
const PUBLISHED: [&str; 9] = [
    "html", "css", "js", "json", "png", "svg", "woff2", "txt", "nojekyll",
];

/// Attributes that name another file.
const ATTRIBUTES: [&str; 3] = [" href=\"", " src=\"", " srcset=\""];

/// A page of the book.
#[derive(Debug, Default)]
struct Page {
    links: BTreeSet<String>,
    anchors: BTreeSet<String>,
}

/// Checks the book in a folder. `site` is the path at which it is published.
///
/// # Errors
///
/// Returns everything that is wrong, one complaint a line.
pub(super) fn check(folder: &Path, site: &str) -> Result<()> {
    let mut files = BTreeSet::new();
    collect(folder, Path::new(""), &mut files)?;
    let mut pages = BTreeMap::new();
    for path in files.iter().filter(|path| is_page(path)) {
        let text = fs::read_to_string(folder.join(path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        pages.insert(path.clone(), Page::parse(&text));
    }
    let mut complaints = dead_links(&pages, &files, site);
    complaints.extend(orphans(&pages, &files));
    complaints.extend(
        files
            .iter()
            .filter(|path| !is_for_readers(path))
            .map(|path| format!("{} is published, but no reader needs it", path.display())),
    );
    ensure!(
        complaints.is_empty(),
        "the book is not whole:\n{}",
        complaints.join("\n")
    );
    Ok(())
}

fn collect(folder: &Path, below: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let path = folder.join(below);
    for entry in fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(folder, &path, files)?;
        } else {
            files.insert(path);
        }
    }
    Ok(())
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "html")
}

fn is_for_readers(path: &Path) -> bool {
    let name = path.to_string_lossy();
    PUBLISHED
        .iter()
        .any(|end| name.ends_with(&format!(".{end}")))
}

impl Page {
    fn parse(html: &str) -> Self {
        let values = |attribute: &str| -> BTreeSet<String> {
            let rest = html.split(attribute).skip(1);
            rest.filter_map(|rest| rest.split('"').next())
                .map(str::to_owned)
                .collect()
        };
        Self {
            links: ATTRIBUTES
                .iter()
                .flat_map(|attribute| values(attribute))
                .collect(),
            anchors: values(" id=\""),
        }
    }
}

/// Returns the links that lead to a file or an anchor that is not there.
fn dead_links(
    pages: &BTreeMap<PathBuf, Page>,
    files: &BTreeSet<PathBuf>,
    site: &str,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, page) in pages {
        for link in &page.links {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let Some(target) = resolved(path, target, site) else {
                continue;
            };
            let there = pages
                .get(&target)
                .is_none_or(|page| anchor.is_empty() || page.anchors.contains(anchor));
            if !files.contains(&target) || !there {
                complaints.push(format!("{}: {link} leads nowhere", path.display()));
            }
        }
    }
    complaints
}

/// Returns the file that a link names, or `None` if it leads out of the book.
fn resolved(page: &Path, link: &str, site: &str) -> Option<PathBuf> {
    if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
        return None;
    }
    if link.is_empty() {
        return Some(page.to_owned());
    }
    let absolute = link.strip_prefix(site).map(PathBuf::from);
    // The page for addresses that do not exist can be shown at any depth, so its links begin at the site.
    let path = absolute.unwrap_or_else(|| page.parent().unwrap_or(Path::new("")).join(link));
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    let is_folder = plain.as_os_str().is_empty() || link.ends_with('/');
    Some(if is_folder {
        plain.join("index.html")
    } else {
        plain
    })
}

/// Returns the pages that the table of contents lacks, and the pictures that no page shows.
fn orphans(pages: &BTreeMap<PathBuf, Page>, files: &BTreeSet<PathBuf>) -> Vec<String> {
    let links_of = |path: &Path| {
        let links = pages
            .get(path)
            .map(|page| &page.links)
            .into_iter()
            .flatten();
        links
            .filter_map(|link| resolved(path, link.split('#').next()?, "/"))
            .collect::<BTreeSet<_>>()
    };
    let listed = links_of(Path::new("toc.html"));
    let shown: BTreeSet<_> = pages.keys().flat_map(|path| links_of(path)).collect();
    let unlisted = |path: &&PathBuf| {
        let is_known = UNLISTED.iter().any(|name| *path == Path::new(name));
        is_page(path) && !is_known && !listed.contains(*path)
    };
    let unseen = |path: &&PathBuf| path.starts_with("screens") && !shown.contains(*path);
    let pages = files
        .iter()
        .filter(unlisted)
        .map(|path| format!("{} is not in the table of contents", path.display()));
    let pictures = files
        .iter()
        .filter(unseen)
        .map(|path| format!("no page shows {}", path.display()));
    pages.chain(pictures).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A book with these files.
    fn complaints(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("it is ours");
            fs::write(path, text).expect("it is ours");
        }
        check(folder.path(), "/site/").map_or_else(|error| error.to_string(), |()| String::new())
    }

    const CONTENTS: (&str, &str) = (
        "toc.html",
        r#"<a href="a.html">A</a> <a href="b/c.html#x">C</a>"#,
    );

    const C: (&str, &str) = (
        "b/c.html",
        r#"<h1 id="x"><a href="../a.html"></a><img src="../screens/p.png" >"#,
    );

    #[test]
    fn a_whole_book_has_no_complaints() {
        let a = (
            "a.html",
            r##"<a href="#top"><b id="top"><a href="b/c.html#x"> <a href="https://a.b/c">"##,
        );
        let lost = (
            "404.html",
            r#"<link rel="icon" href="/site/screens/p.png"><a href="/site/">"#,
        );
        let index = ("index.html", "");
        assert_eq!(
            complaints(&[CONTENTS, a, C, lost, index, ("screens/p.png", "")]),
            ""
        );
    }

    #[test]
    fn dead_links_orphans_and_sources_are_reported() {
        let a = (
            "a.html",
            r#"<a href="b/d.html"> <a href="b/c.html#y"> <img srcset="q.png">"#,
        );
        let files = [
            CONTENTS,
            a,
            C,
            ("e.html", ""),
            ("screens/p.png", ""),
            ("screens/r.png", ""),
            ("book.toml", ""),
        ];
        let expected = "the book is not whole:\n\
            a.html: b/c.html#y leads nowhere\n\
            a.html: b/d.html leads nowhere\n\
            a.html: q.png leads nowhere\n\
            e.html is not in the table of contents\n\
            no page shows screens/r.png\n\
            book.toml is published, but no reader needs it";
        assert_eq!(complaints(&files), expected);
    }
}

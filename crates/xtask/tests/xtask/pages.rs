//! What the documentation says is there: its links lead somewhere, its book is whole, and it speaks of fields, reasons,
//! flags and commands that exist.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use secret_rotation_api::reasons;
use serde_json::Value;
use testenv::project;
use xtask::markdown::{self, Page, Piece};

/// Where the book is published.
const BOOK: &str = "https://secretrotation.github.io/secret-rotation-controller/";

/// Where files outside the book are shown.
const TREE: [&str; 2] = [
    "https://github.com/secretrotation/secret-rotation-controller/blob/main/",
    "https://github.com/secretrotation/secret-rotation-controller/tree/main/",
];

/// Names in CamelCase that are neither reasons nor values: those of AWS and Kubernetes, and words within messages.
const OTHERS: &str = include_str!("pages/others.txt");

fn all() -> Vec<Page> {
    markdown::all().expect("the pages can be read")
}

fn of_the_book() -> impl Iterator<Item = Page> {
    all()
        .into_iter()
        .filter(|page| page.path.starts_with("docs"))
}

/// Fails with all problems, not only with the first one.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Returns the path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// Returns the file of a link, from the top of the checkout; none if the link leads out of the project.
fn target(page: &Page, link: &str) -> Option<PathBuf> {
    if let Some(rest) = link.strip_prefix(BOOK) {
        let source = rest.replace(".html", ".md");
        let source = if source.is_empty() {
            "README.md"
        } else {
            &source
        };
        return Some(Path::new("docs").join(source));
    }
    if let Some(rest) = TREE.iter().find_map(|tree| link.strip_prefix(tree)) {
        return Some(rest.into());
    }
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let folder = page.path.parent().unwrap_or(Path::new(""));
    Some(match link {
        "" => page.path.clone(),
        relative => plain(&folder.join(relative)),
    })
}

/// Describes what is wrong with a link.
fn broken(page: &Page, pages: &[Page], link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = target(page, path)?;
    if !project::root().join(&target).exists() {
        return Some(format!("{} is not there", target.display()));
    }
    let leads = |page: &&Page| page.path == target;
    let there = pages.iter().find(leads);
    match there {
        _ if anchor.is_empty() => None,
        Some(there) if there.anchors.iter().any(|known| known == anchor) => None,
        Some(there) => Some(format!("{} has no #{anchor}", there.path.display())),
        None => Some(format!(
            "{} is no page, so it has no #{anchor}",
            target.display()
        )),
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = all();
    let complaints = pages.iter().flat_map(|page| {
        page.links.iter().filter_map(|link| {
            let why = broken(page, &pages, &link.text)?;
            Some(format!("{}: {}: {why}", page.at(link.line), link.text))
        })
    });
    none(&complaints.collect::<Vec<_>>());
}

/// A merge of two versions of a table can duplicate rows.
#[test]
fn no_table_begins_two_rows_alike() {
    let mut complaints = Vec::new();
    for page in all() {
        for table in &page.tables {
            let mut seen = BTreeSet::new();
            let again = table
                .iter()
                .filter(|cell| !cell.text.is_empty() && !seen.insert(&cell.text));
            complaints.extend(
                again.map(|cell| format!("{}: a second row {}", page.at(cell.line), cell.text)),
            );
        }
    }
    none(&complaints);
}

/// Returns the modules of a crate as its page writes them: `name.rs`, or `name/` if only the folder exists.
fn modules(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(project::root().join(folder)).expect("the crate has sources");
    let names: BTreeSet<_> = entries
        .map(|entry| entry.expect("the folder can be listed"))
        .map(|entry| {
            let slash = if entry.path().is_dir() { "/" } else { "" };
            format!("{}{slash}", entry.file_name().display())
        })
        .collect();
    let is_module = |name: &&String| {
        let beside = name.strip_suffix('/').map(|name| format!("{name}.rs"));
        !["lib.rs", "main.rs"].contains(&name.as_str())
            && !beside.is_some_and(|beside| names.contains(&beside))
    };
    names.iter().filter(is_module).cloned().collect()
}

#[test]
fn a_page_that_lists_modules_names_each_of_them() {
    let mut complaints = Vec::new();
    for name in ["aws", "cli", "fixtures", "testenv"] {
        let folder = Path::new("crates").join(name);
        let page = Page::read(&folder.join("README.md")).expect("the crate has a page");
        let named: BTreeSet<_> = page.spans.iter().map(|span| span.text.as_str()).collect();
        let modules = modules(&folder.join("src"));
        let missing = modules.iter().filter(|name| !named.contains(name.as_str()));
        complaints.extend(missing.map(|name| format!("{} lacks {name}", page.path.display())));
        let is_source = |span: &&str| {
            Path::new(span).extension().is_some_and(|end| end == "rs") && !span.contains(['*', '/'])
        };
        let gone = named
            .iter()
            .filter(|span| is_source(span) && !modules.contains(**span));
        complaints.extend(gone.map(|name| format!("{} names {name}", page.path.display())));
    }
    none(&complaints);
}

/// The published book contains only docs/: a relative link out of it works only on GitHub.
#[test]
fn links_of_the_book_stay_in_the_book() {
    let mut complaints = Vec::new();
    for page in of_the_book() {
        let leaves = |link: &&Piece| {
            !link.text.contains("://")
                && target(&page, link.text.split('#').next().unwrap_or_default())
                    .is_some_and(|target| !target.starts_with("docs"))
        };
        let leaving = page.links.iter().filter(leaves);
        complaints.extend(leaving.map(|link| {
            format!(
                "{}: write {}… instead of {}",
                page.at(link.line),
                TREE[0],
                link.text
            )
        }));
    }
    none(&complaints);
}

#[test]
fn every_page_of_the_book_is_in_its_summary_once() {
    let summary = Page::read(Path::new("docs/SUMMARY.md")).expect("the summary exists");
    let listed = summary
        .links
        .iter()
        .filter_map(|link| target(&summary, &link.text));
    let listed: Vec<_> = listed.collect();
    let distinct: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(
        distinct.len(),
        listed.len(),
        "a page is listed twice: {listed:?}"
    );
    let pages = of_the_book().map(|page| page.path);
    let missing = pages.filter(|path| *path != summary.path && !distinct.contains(path));
    let complaints: Vec<_> = missing
        .map(|path| format!("{} is not in docs/SUMMARY.md", path.display()))
        .collect();
    none(&complaints);
}

/// `cargo xtask bench --write` fills the regions of the page, and nothing else does.
#[test]
fn the_page_about_performance_has_complete_results() {
    let path = project::root().join("docs/performance.md");
    let page = std::fs::read_to_string(path).expect("the page exists");
    let known = xtask::bench::names();
    let (mut shown, mut complaints) = (BTreeSet::new(), Vec::new());
    for region in page.split("<!-- begin results of ").skip(1) {
        let (name, rest) = region.split_once(" -->").expect("a comment ends");
        let Some((results, _)) = rest.split_once(&format!("<!-- end results of {name} -->")) else {
            complaints.push(format!("the results of {name} do not end"));
            continue;
        };
        let rows = results
            .lines()
            .filter(|line| line.starts_with("| "))
            .count();
        if rows < 3 || !results.contains("\nMeasured on ") || !known.contains(&name.to_owned()) {
            complaints.push(format!("run cargo xtask bench {name} --write"));
        }
        shown.insert(name);
    }
    for name in ["sweep", "policies"] {
        if !shown.contains(name) {
            complaints.push(format!("the page does not show {name}"));
        }
    }
    none(&complaints);
}

/// README shows diagrams of the book. A copy that differs would contradict the page that explains it.
#[test]
fn the_diagrams_of_the_readme_are_those_of_the_book() {
    let diagrams = |page: &Page| {
        let blocks = page.blocks.iter().filter(|block| block.info == "mermaid");
        blocks.map(|block| block.text.clone()).collect::<Vec<_>>()
    };
    let book: Vec<_> = of_the_book().flat_map(|page| diagrams(&page)).collect();
    let readme = Page::read(Path::new("README.md")).expect("README exists");
    let shown = diagrams(&readme);
    assert_eq!(shown.len(), 2, "README has two diagrams");
    for diagram in shown {
        assert!(
            book.contains(&diagram),
            "no page has this diagram:\n{diagram}"
        );
    }
}

/// README loads a picture at each visit.
#[test]
fn pictures_are_small() {
    const LIMIT: u64 = 150_000;
    let folder = project::root().join("docs/screens");
    let entries = std::fs::read_dir(folder).expect("there are pictures");
    let mut seen = 0;
    for entry in entries {
        let entry = entry.expect("the folder can be listed");
        let size = entry.metadata().expect("it is a file").len();
        assert!(size < LIMIT, "{} has {size} bytes", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} pictures were found");
}

/// The schemas of spec and status of all kinds.
fn schemas() -> Vec<Value> {
    let schema = |definition: Value| {
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].clone()
    };
    secret_rotation_api::manifests()
        .into_iter()
        .map(schema)
        .collect()
}

/// Returns whether a path such as `detection.expiry.tagKey` or `findings[].state` exists below a schema.
fn has(schema: &Value, path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return true;
    };
    let name = name.split('[').next().unwrap_or_default();
    let field = &schema["properties"][name];
    // Conditions and maps have keys of their own.
    let field = if field["items"].is_object() {
        &field["items"]
    } else {
        field
    };
    let free = field["additionalProperties"].is_object();
    field.is_object() && (free || has(field, rest))
}

/// Returns the path of the field with which a span begins, as in `spec.mode: Remediate`; none if there is none.
fn path_of(span: &str) -> Option<Vec<&str>> {
    let is_path = |letter: char| letter.is_ascii_alphanumeric() || "._[]".contains(letter);
    let path = span.split(|letter| !is_path(letter)).next()?;
    let path = path.trim_start_matches('.').trim_end_matches('.');
    let parts: Vec<_> = path.split('.').collect();
    let rest = &span[span.find(path)? + path.len()..];
    let ends = rest.is_empty() || rest.starts_with([':', '=', '…', ' ']);
    let is_file = matches!(parts.last(), Some(&("rs" | "md" | "yaml" | "json")));
    (parts.len() > 1 && ends && !is_file).then_some(parts)
}

/// Fields of a Lease.
const FIELDS_OF_OTHERS: [&str; 2] = ["spec.holderIdentity", "spec.renewTime"];

/// `spec.…` and `status.…` wherever they stand, and `detection.stuckAfter` without its `spec.`.
#[test]
fn every_field_that_is_mentioned_exists() {
    let schemas = schemas();
    let mut complaints = Vec::new();
    for page in all() {
        for span in &page.spans {
            let Some(path) = path_of(&span.text) else {
                continue;
            };
            let within =
                |root: &str, path: &[&str]| schemas.iter().any(|kind| has(&kind[root], path));
            let known = match path[0] {
                "spec" | "status" => within(path[0], &path[1..]),
                first if within("spec", &[first]) => within("spec", &path),
                _ => continue,
            };
            if !known && !FIELDS_OF_OTHERS.contains(&path.join(".").as_str()) {
                complaints.push(format!(
                    "{}: no kind has a field {}",
                    page.at(span.line),
                    path.join(".")
                ));
            }
        }
    }
    none(&complaints);
}

/// Returns every name in CamelCase that the project defines: resources, values, conditions, reasons, IAM statements.
fn names() -> BTreeSet<String> {
    let mut names = statements();
    for definition in secret_rotation_api::manifests() {
        names.extend(
            definition["spec"]["names"]["kind"]
                .as_str()
                .map(str::to_owned),
        );
        values(&definition, &mut names);
    }
    for condition in reasons::conditions() {
        let all = [condition.if_true, condition.otherwise, vec![condition.name]].concat();
        names.extend(all.into_iter().map(str::to_owned));
    }
    names
}

/// Returns the names of the statements in `deploy/iam`.
fn statements() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for level in ["observe", "recover", "by-hand"] {
        let path = project::root().join(format!("deploy/iam/{level}.json"));
        let policy = std::fs::read_to_string(path).expect("the policy is there");
        let policy: Value = serde_json::from_str(&policy).expect("the policy is JSON");
        let statements = policy["Statement"].as_array().into_iter().flatten();
        names.extend(statements.filter_map(|one| one["Sid"].as_str().map(str::to_owned)));
    }
    names
}

/// Returns the values of all enums below a schema.
fn values(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let listed = fields.get("enum").and_then(Value::as_array);
            names.extend(
                listed
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|field| values(field, names));
        }
        Value::Array(items) => items.iter().for_each(|item| values(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns whether a text has two or more capitalized words, as reasons have.
fn is_camel_case(text: &str) -> bool {
    let capitals = text.chars().filter(char::is_ascii_uppercase).count();
    let letters = text.chars().all(|letter| letter.is_ascii_alphabetic());
    let small = text.chars().any(|letter| letter.is_ascii_lowercase());
    letters && small && capitals > 1 && text.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Returns whether a name is an alert: every alert has a runbook.
fn has_runbook(name: &str) -> bool {
    let page = format!("docs/runbooks/{}.md", name.to_lowercase());
    project::root().join(page).exists()
}

#[test]
fn every_reason_and_value_that_is_mentioned_exists() {
    let ours = names();
    let others: BTreeSet<_> = OTHERS.lines().collect();
    let mut complaints = Vec::new();
    for page in all() {
        for span in page.spans.iter().filter(|span| is_camel_case(&span.text)) {
            let name = span.text.as_str();
            if !ours.contains(name) && !others.contains(name) && !has_runbook(name) {
                let place = page.at(span.line);
                complaints.push(format!(
                    "{place}: `{name}` is neither a reason nor a value of ours; if it is somebody else's, add it to tests/pages/others.txt"
                ));
            }
        }
    }
    none(&complaints);
}

/// The words of the diagrams of a page.
fn words_of_diagrams(page: &Page) -> impl Iterator<Item = &str> {
    let diagrams = page.blocks.iter().filter(|block| block.info == "mermaid");
    diagrams.flat_map(|block| block.text.split(|letter: char| !letter.is_alphanumeric()))
}

/// A diagram that names an action or a state must follow it when it is renamed.
#[test]
fn every_name_in_a_diagram_exists() {
    let ours = names();
    let others: BTreeSet<_> = OTHERS.lines().collect();
    let (mut seen, mut complaints) = (0, Vec::new());
    for page in all() {
        let names: BTreeSet<_> = words_of_diagrams(&page)
            .filter(|word| is_camel_case(word))
            .collect();
        seen += names.len();
        let unknown = names
            .into_iter()
            .filter(|name| !ours.contains(*name) && !others.contains(name));
        complaints.extend(unknown.map(|name| {
            let page = page.path.display();
            format!("a diagram of {page} names {name}, which does not exist")
        }));
    }
    none(&complaints);
    assert!(seen > 5, "only {seen} names were found in diagrams");
}

#[test]
fn other_names_are_used_and_sorted() {
    let pages = all();
    let spans = pages
        .iter()
        .flat_map(|page| page.spans.iter().map(|span| span.text.as_str()));
    let spans: BTreeSet<_> = spans
        .chain(pages.iter().flat_map(words_of_diagrams))
        .collect();
    let names: Vec<_> = OTHERS.lines().collect();
    assert!(names.is_sorted(), "{names:?}");
    let unused = names.iter().filter(|name| !spans.contains(*name));
    let complaints: Vec<_> = unused
        .map(|name| format!("no page mentions {name}"))
        .collect();
    none(&complaints);
}

/// Flags of other programs.
const FLAGS_OF_OTHERS: [&str; 4] = ["--endpoint-url", "--field-selector", "--for", "--locked"];

/// Returns the words of a page that begin with `--`.
fn flags(page: &Page) -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(project::root().join(&page.path)).expect("it was read before");
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let flags = words.filter(|word| word.starts_with("--") && word.len() > 3);
    flags.map(str::to_owned).collect()
}

/// The pages that list all flags are generated. Before they exist, there is nothing to compare with.
#[test]
fn every_flag_that_is_mentioned_exists() {
    let pages = all();
    let reference = ["docs/reference/flags.md", "docs/reference/cli.md"];
    let listing: Vec<_> = pages
        .iter()
        .filter(|page| reference.iter().any(|path| page.path == Path::new(path)))
        .collect();
    if listing.len() < reference.len() {
        eprintln!("SKIPPED: {reference:?} are not all there");
        return;
    }
    let known: BTreeSet<_> = listing.into_iter().flat_map(flags).collect();
    let mut complaints = Vec::new();
    for page in pages.iter().filter(|page| page.path.starts_with("docs")) {
        for span in page.spans.iter().filter(|span| span.text.starts_with("--")) {
            let flag = span
                .text
                .split([' ', '=', '/', '['])
                .next()
                .unwrap_or_default();
            if !known.contains(flag) && !FLAGS_OF_OTHERS.contains(&flag) {
                complaints.push(format!(
                    "{}: no program of ours has a flag {flag}",
                    page.at(span.line)
                ));
            }
        }
    }
    none(&complaints);
}

/// Returns whether a text is a file of the checkout, as pages name it.
fn is_file_of_ours(span: &str) -> bool {
    const TOP: [&str; 6] = ["crates/", "tests/", "deploy/", "docs/", "charts/", ".ci/"];
    TOP.iter().any(|folder| span.starts_with(folder)) && !span.contains(['*', '…', ' ', '<', '{'])
}

/// Returns whether a text is the name of a test: a sentence.
fn is_test(span: &str) -> bool {
    let words =
        |letter: char| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit();
    span.chars().all(words) && span.split('_').count() > 4 && metric(span).is_none()
}

/// Returns the name of one of the project's metrics, without its prefix and without the suffix of a histogram.
fn metric(span: &str) -> Option<&str> {
    let name = span.split('{').next()?.strip_prefix("secretrotation_")?;
    let parts = ["_bucket", "_count", "_sum"];
    let whole = parts.iter().find_map(|part| name.strip_suffix(part));
    Some(whole.unwrap_or(name)).filter(|name| !name.is_empty())
}

#[test]
fn every_metric_that_is_mentioned_exists() {
    let reference = Page::read(Path::new("docs/reference/metrics.md")).expect("the page exists");
    let known: BTreeSet<_> = reference
        .spans
        .iter()
        .filter_map(|span| metric(&span.text))
        .collect();
    let mut complaints = Vec::new();
    for page in of_the_book() {
        for span in &page.spans {
            if metric(&span.text).is_some_and(|name| !known.contains(name)) {
                let place = page.at(span.line);
                complaints.push(format!("{place}: there is no metric {}", span.text));
            }
        }
    }
    none(&complaints);
}

/// A page of the book names a test after the file that contains it.
#[test]
fn every_function_of_the_reading_guide_is_in_its_file() {
    let page = project::root().join("docs/follow.md");
    let page = std::fs::read_to_string(page).expect("the reading guide");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains(".rs`"));
    let mut read = 0;
    for row in rows {
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, _, _, function, file, _] = cells[..] else {
            panic!("a row without a function and a file: {row}");
        };
        let source = std::fs::read_to_string(project::root().join(file)).expect(file);
        let is_there = ["(", "<"]
            .iter()
            .any(|end| source.contains(&format!("fn {function}{end}")));
        assert!(is_there, "{file} has no function {function}");
        read += 1;
    }
    assert!(read > 20, "only {read} rows were read");
}

#[test]
fn every_file_and_test_that_is_named_exists() {
    let mut complaints = Vec::new();
    for page in of_the_book() {
        let mut file = None;
        for span in &page.spans {
            let name = span.text.as_str();
            if is_file_of_ours(name) {
                let path = project::root().join(name);
                if !path.exists() {
                    complaints.push(format!("{}: {name} is not there", page.at(span.line)));
                }
                file = Some(path);
            } else if is_test(name) {
                let code = file
                    .as_ref()
                    .and_then(|path| std::fs::read_to_string(path).ok());
                if !code.is_some_and(|code| code.contains(&format!("fn {name}("))) {
                    complaints.push(format!(
                        "{}: no test {name} in the file before it",
                        page.at(span.line)
                    ));
                }
            }
        }
    }
    none(&complaints);
}

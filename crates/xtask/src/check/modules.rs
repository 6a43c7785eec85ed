//! Checks the modules of each crate: `name.rs` next to `name/`, no folder with one file, no circular imports.
//!
//! It parses the sources as `rustc` does, but resolves only names of modules and does not expand macros.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use syn::visit::Visit;

/// The path of a module in its crate. The path of the crate's root is empty.
type Module = Vec<String>;

/// Checks the sources of one crate or of the tests, from each of its root files.
pub(super) fn check(roots: &[PathBuf]) -> Result<()> {
    let mut complaints = Vec::new();
    for root in roots {
        let folder = root.parent().context("a source file lies in a folder")?;
        complaints.extend(files_named_mod(folder)?);
        complaints.extend(folders_with_one_file(folder)?);
        let imports = Imports::of(root)?;
        complaints.extend(circles(&imports.0).iter().map(|circle| {
            let files: Vec<_> = circle.iter().map(|file| shown(file)).collect();
            format!("circular imports: {}", files.join(", "))
        }));
    }
    let complaints: BTreeSet<_> = complaints.into_iter().collect();
    let complaints: Vec<_> = complaints.into_iter().collect();
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Reports each `mod.rs` below a folder.
fn files_named_mod(folder: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            complaints.extend(files_named_mod(&path)?);
        } else if path.ends_with("mod.rs") {
            complaints.push(format!(
                "{}: move it next to its folder and name it after the folder",
                path.display()
            ));
        }
    }
    Ok(complaints)
}

/// Reports each folder below a folder that contains a single Rust file and nothing else.
fn folders_with_one_file(folder: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in entries(folder)?.iter().filter(|path| path.is_dir()) {
        let inside = entries(path)?;
        if let [only] = inside.as_slice()
            && is_rust(only)
        {
            complaints.push(format!(
                "{}: the only file of its folder; move it up",
                only.display()
            ));
        }
        complaints.extend(folders_with_one_file(path)?);
    }
    Ok(complaints)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| shown(folder))?;
    let paths: std::io::Result<BTreeSet<_>> = listed
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    Ok(paths?.into_iter().collect())
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// The files of a crate, and the files from which each imports names.
struct Imports(BTreeMap<PathBuf, BTreeSet<PathBuf>>);

impl Imports {
    /// Reads a crate from its root file. Modules that are compiled for tests only are left out.
    fn of(root: &Path) -> Result<Self> {
        let mut sources = BTreeMap::new();
        read(root, Vec::new(), true, &mut sources)?;
        let mut imports = BTreeMap::<_, BTreeSet<_>>::new();
        for (module, source) in &sources {
            let mut names = Names {
                module,
                sources: &sources,
                found: BTreeSet::new(),
            };
            names.visit_file(&source.syntax);
            let others = names.found.into_iter().filter(|file| *file != source.path);
            imports
                .entry(source.path.clone())
                .or_default()
                .extend(others);
        }
        Ok(Self(imports))
    }
}

struct Source {
    path: PathBuf,
    syntax: syn::File,
    /// The names that the file imports, each with its path as written.
    taken: BTreeMap<String, Vec<String>>,
}

/// Reads a file and the files of the modules that it declares. If `is_root` is set, their files are next to it, not in a
/// folder with its name.
fn read(
    path: &Path,
    module: Module,
    is_root: bool,
    sources: &mut BTreeMap<Module, Source>,
) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| shown(path))?;
    let syntax = syn::parse_file(&text).with_context(|| shown(path))?;
    let folder = if is_root {
        path.parent().map(Path::to_owned)
    } else {
        Some(path.with_extension(""))
    };
    let folder = folder.context("a source file lies in a folder")?;
    for item in &syntax.items {
        let syn::Item::Mod(declared) = item else {
            continue;
        };
        if declared.content.is_some() || is_for_tests(&declared.attrs) {
            continue;
        }
        let name = declared.ident.to_string();
        let mut below = module.clone();
        below.push(name.clone());
        let beside = folder.join(format!("{name}.rs"));
        if beside.is_file() {
            read(&beside, below, false, sources)?;
        } else {
            read(&folder.join(name).join("mod.rs"), below, true, sources)?;
        }
    }
    let mut taken = BTreeMap::new();
    for item in &syntax.items {
        if let syn::Item::Use(item) = item {
            paths(&item.tree, &[], &mut |name, path| {
                taken.insert(name.to_owned(), path.to_vec());
            });
        }
    }
    let path = path.to_owned();
    let source = Source {
        path,
        syntax,
        taken,
    };
    sources.insert(module, source);
    Ok(())
}

/// Calls `each` with the name and the path of each leaf of a tree; the name of `*` is `*`.
fn paths(tree: &syn::UseTree, before: &[String], each: &mut impl FnMut(&str, &[String])) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        syn::UseTree::Path(path) => paths(&path.tree, &with(&path.ident), each),
        // `use a::{self}` imports the module itself.
        syn::UseTree::Name(name) if name.ident == "self" => {
            each(before.last().map_or("self", String::as_str), before);
        }
        syn::UseTree::Name(name) => each(&name.ident.to_string(), &with(&name.ident)),
        syn::UseTree::Rename(name) => each(&name.rename.to_string(), &with(&name.ident)),
        syn::UseTree::Glob(_) => each("*", before),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                paths(tree, before, each);
            }
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
    })
}

/// Collects the files that the paths of one file lead to.
struct Names<'a> {
    module: &'a Module,
    sources: &'a BTreeMap<Module, Source>,
    found: BTreeSet<PathBuf>,
}

/// A name that is re-exported more often than this is not followed further.
const RE_EXPORTS: usize = 8;

impl Names<'_> {
    /// Adds the file that defines what a path names: that of the deepest module in it, or the one that this module
    /// re-exports the next name from.
    fn follow(&mut self, segments: &[String]) {
        let (mut module, mut segments) = (self.module.clone(), segments.to_vec());
        for _ in 0..RE_EXPORTS {
            let Some((at, rest)) = self.descend(&module, &segments) else {
                return;
            };
            let source = &self.sources[&at];
            let next = rest.split_first();
            let taken = next.and_then(|(name, rest)| Some((source.taken.get(name)?, rest)));
            if let Some((path, rest)) = taken.filter(|_| at != *self.module) {
                segments = [path, rest].concat();
                module = at;
            } else {
                self.found.insert(source.path.clone());
                return;
            }
        }
    }

    /// Returns the deepest module of a path as written in `from`, and the rest of the path; `None` if it is in another crate.
    fn descend<'p>(&self, from: &Module, path: &'p [String]) -> Option<(Module, &'p [String])> {
        let mut at = from.clone();
        let mut rest = path;
        let first = path.first()?;
        if first == "crate" {
            (at, rest) = (Vec::new(), &path[1..]);
        } else if first == "self" {
            rest = &path[1..];
        } else if first != "super" && !self.sources.contains_key(&[&at[..], &path[..1]].concat()) {
            return None;
        }
        while let Some((segment, left)) = rest.split_first() {
            if segment == "super" {
                at.pop();
            } else {
                at.push(segment.clone());
                if !self.sources.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
            rest = left;
        }
        Some((at, rest))
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        paths(&item.tree, &[], &mut |_, path| self.follow(path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter();
            let segments: Vec<_> = segments.map(|segment| segment.ident.to_string()).collect();
            self.follow(&segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Within an inline module, `super` is another module. Only tests have inline modules here.
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(in crate::plan)` is not an import.
    }
}

/// Finds the groups of files that reach one another, each group once.
fn circles(imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<_, _> = imports
        .keys()
        .map(|file| (file, reachable(file, imports)))
        .collect();
    let mut found = BTreeSet::new();
    for (file, below) in &reached {
        let mut circle: BTreeSet<_> = below
            .iter()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(*file)))
            .cloned()
            .collect();
        if circle.len() > 1 {
            circle.insert((*file).clone());
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable(from: &Path, imports: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> BTreeSet<PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(file) = open.pop() {
        for other in imports.get(&file).into_iter().flatten() {
            if reached.insert(other.clone()) {
                open.push(other.clone());
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a crate to a temporary folder, from file names and texts.
    fn crate_of(files: &[(&str, &str)]) -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, text)?;
        }
        Ok(folder)
    }

    fn complaints(files: &[(&str, &str)]) -> Result<String> {
        let folder = crate_of(files)?;
        let answer = check(&[folder.path().join("lib.rs")]);
        let text = answer.err().map(|error| error.to_string());
        Ok(text.unwrap_or_default())
    }

    #[test]
    fn a_tree_of_modules_passes() -> Result<()> {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "mod c; use crate::b::B; pub struct A(B);"),
            ("a/c.rs", "use crate::b::B;"),
            ("a/d.rs", ""),
            (
                "b.rs",
                "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }",
            ),
        ];
        assert_eq!(complaints(&files)?, "");
        Ok(())
    }

    #[test]
    fn circular_imports_are_named_with_every_file() -> Result<()> {
        let way = [
            ("use super::b::B;", "use crate::a::A;"),
            ("fn f() -> crate::b::B {}", "fn f() { super::a::g::<u8>() }"),
            ("use super::{b, x::Y};", "use super::a::*;"),
        ];
        for (a, b) in way {
            let found = complaints(&[
                ("lib.rs", "mod a; mod b; mod x;"),
                ("a.rs", a),
                ("b.rs", b),
                ("x.rs", ""),
            ])?;
            assert!(
                found.contains("circular") && found.contains("a.rs") && found.contains("b.rs"),
                "{found}"
            );
            assert!(!found.contains("x.rs"), "{found}");
        }
        Ok(())
    }

    #[test]
    fn a_child_that_takes_from_its_parent_what_uses_the_child_is_a_circle() -> Result<()> {
        let found = complaints(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; mod c; struct S; fn f() { b::g() }"),
            ("a/b.rs", "use super::S; pub fn g() {}"),
            ("a/c.rs", "use super::S;"),
        ])?;
        assert!(
            found.contains("a/b.rs") && !found.contains("a/c.rs"),
            "{found}"
        );
        Ok(())
    }

    #[test]
    fn a_name_that_is_re_exported_comes_from_where_it_is_defined() -> Result<()> {
        let lib = ("lib.rs", "mod a; mod b; pub use a::A; pub use b::{B as C};");
        let found = complaints(&[lib, ("a.rs", "pub struct A;"), ("b.rs", "use crate::A;")])?;
        assert_eq!(found, "");
        let found = complaints(&[lib, ("a.rs", "use crate::C;"), ("b.rs", "use crate::A;")])?;
        assert!(
            found.contains("a.rs") && !found.contains("lib.rs"),
            "{found}"
        );
        Ok(())
    }

    #[test]
    fn a_mod_rs_and_a_folder_with_one_file_are_named() -> Result<()> {
        let found = complaints(&[
            ("lib.rs", ""),
            ("a/mod.rs", ""),
            ("b/c.rs", ""),
            ("b/d.rs", ""),
        ])?;
        assert!(found.contains("a/mod.rs: move it next to"), "{found}");
        assert!(found.contains("a/mod.rs: the only file"), "{found}");
        assert!(!found.contains("/b/"), "{found}");
        Ok(())
    }
}

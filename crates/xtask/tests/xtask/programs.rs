//! Test programs: one for each crate, with every file of its folder as a module.

use std::fs;
use std::path::{Path, PathBuf};

use testenv::project;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect()
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// Returns the folders of all test programs: that of the stories, and `tests/<name>` of each crate.
fn programs() -> Vec<PathBuf> {
    let crates = files(&project::root().join("crates"));
    let folders = crates.iter().flat_map(|one| files(&one.join("tests")));
    let mut programs: Vec<_> = folders
        .filter(|folder| folder.join("main.rs").is_file())
        .collect();
    programs.push(project::root().join("tests/tests"));
    programs
}

/// Cargo silently skips a file that is not a module.
#[test]
fn every_file_of_a_test_program_is_a_module_of_it() {
    let programs = programs();
    assert!(programs.len() > 4, "{programs:?}");
    for folder in programs {
        let main = folder.join("main.rs");
        let listed = fs::read_to_string(&main).expect("a program has a main.rs");
        for file in files(&folder).iter().filter(|file| is_source(file)) {
            let name = file.file_stem().expect("a file has a name").display();
            assert!(
                name.to_string() == "main" || listed.contains(&format!("\nmod {name};")),
                "add `mod {name};` to {}",
                main.display()
            );
        }
    }
}

/// A second program would compile the fixtures and link everything again.
#[test]
fn no_crate_has_a_second_test_program() {
    for one in files(&project::root().join("crates")) {
        let sources = files(&one.join("tests"));
        let stray: Vec<_> = sources.iter().filter(|path| is_source(path)).collect();
        assert!(stray.is_empty(), "move into tests/<name>/: {stray:?}");
    }
}

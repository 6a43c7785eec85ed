//! All stories in one program: they are linked once, and none waits for the end of the slowest of another file.

mod actions;
mod alerts;
mod approval;
mod audit;
mod bad_input;
mod beliefs;
mod by_hand;
mod chaos;
mod chart;
mod cli;
mod clocks;
#[cfg(test)]
mod conformance;
mod crashes;
mod crashes_by_hand;
mod dashboard;
mod doctor;
mod documentation;
mod events;
mod gitops;
mod guards;
mod kubectl;
mod lifecycle;
mod neighbors;
mod outages;
mod pace;
mod remedies;
mod rules;
mod scale;
mod secure_metrics;
mod stored;
mod triggers;
mod upgrade;
mod windows;
mod wire;

/// A file that is not a module above would be skipped without a word.
#[test]
fn every_file_of_stories_is_a_module_of_this_program() {
    let folder = testenv::project::root().join("tests/tests");
    let listed = include_str!("main.rs");
    let files = std::fs::read_dir(folder).expect("the folder of stories can be listed");
    for file in files {
        let path = file.expect("the folder of stories can be listed").path();
        let name = path.file_stem().expect("files have names").display();
        let is_module = path.extension().is_some_and(|extension| extension == "rs");
        assert!(
            !is_module || name.to_string() == "main" || listed.contains(&format!("\nmod {name};")),
            "add `mod {name};` to tests/tests/main.rs"
        );
    }
}

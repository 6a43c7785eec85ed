//! `cargo xtask upgrade`: builds the previous release from the history, and runs the stories that use both releases.
//!
//! It is not part of `cargo xtask test`, because a second complete build takes long and needs the history.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testenv::project;

/// The commit of the previous release.
pub const PREVIOUS: &str = "f1d5b98";

/// The variable with the path of the previous release's checkout, for the stories.
pub const ROOT: &str = "SECRET_ROTATION_PREVIOUS";

/// The variable with the path of the previous release's controller, for the stories.
pub const PROGRAM: &str = "SECRET_ROTATION_PREVIOUS_CONTROLLER";

/// Runs the stories with the release of a commit.
///
/// # Errors
///
/// Returns an error if the commit is unknown, if it does not build, or if a story fails.
pub fn run(from: &str) -> Result<()> {
    let commit = resolve(from)?;
    let target = project::target()?.join("previous");
    let checkout = check_out(&target, &commit)?;
    eprintln!(
        "1/2 Building the controller of {commit} (about 10 minutes the first time on two cores)"
    );
    let package = "secret-rotation-controller";
    let build = ["build", "--locked", "--package", package];
    let target = target.join("target");
    let mut cargo = project::cargo();
    cargo.args(build).current_dir(&checkout);
    project::run(cargo.env("CARGO_TARGET_DIR", &target))?;
    eprintln!("2/2 Stories (about 5 minutes)");
    let stories = ["test", "--locked", "--workspace"];
    let mut test = project::cargo();
    test.args(stories)
        .args([
            "--test",
            "stories",
            "--",
            "upgrade::",
            "--ignored",
            "--test-threads=1",
        ])
        .env(ROOT, &checkout)
        .env(PROGRAM, target.join("debug").join(package));
    project::run(&mut test)
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    command
}

/// Returns the full hash of a commit.
fn resolve(from: &str) -> Result<String> {
    let name = format!("{from}^{{commit}}");
    let mut git = git(&project::root());
    let commit = project::output(git.args(["rev-parse", "--verify", "--quiet", &name]));
    let commit = commit.with_context(|| {
        format!(
            "commit {from} is not in this repository: a shallow clone or an archive does not hold it; \
             run `git fetch --unshallow`, or name another commit with --from"
        )
    })?;
    Ok(commit.trim().to_owned())
}

/// Returns a worktree of the commit, which is created if it does not exist.
fn check_out(target: &Path, commit: &str) -> Result<PathBuf> {
    let checkout = target.join(commit);
    if !checkout.join("Cargo.toml").is_file() {
        let mut git = git(&project::root());
        // Removes the records of worktrees whose folders were deleted with the target folder.
        git.args(["worktree", "add", "--force", "--detach"])
            .arg(&checkout)
            .arg(commit);
        project::run(&mut git)?;
    }
    let changes = project::output(git(&checkout).args(["status", "--porcelain"]))?;
    ensure!(
        changes.trim().is_empty(),
        "{} is not as commit {commit} has it; remove it",
        checkout.display()
    );
    Ok(checkout)
}

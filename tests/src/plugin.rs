//! The kubectl plugin as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use testenv::project;

use crate::Story;
use crate::story::TEAM;

/// What a run of the plugin left behind.
#[derive(Clone, Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// What it printed; panics if it failed.
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// What it said on standard error; panics if it did not end with 1.
    #[track_caller]
    pub fn fails(self) -> String {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        self.err
    }
}

/// A command of the plugin, in the namespace of most stories, without any AWS credentials.
pub fn command(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("LANG", "C.UTF-8")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Run {
    Run::of(&command.output().expect("the plugin starts"))
}

impl Story {
    /// Runs the plugin as a user in [`TEAM`].
    pub fn plugin_as(&self, user: &str, arguments: &[&str]) -> Run {
        let arguments = [arguments, &["-n", TEAM]].concat();
        run(&mut command(&self.cluster.kubeconfig(user), &arguments))
    }

    /// Runs the plugin as the administrator in [`TEAM`].
    pub fn plugin(&self, arguments: &[&str]) -> Run {
        self.plugin_as("admin", arguments)
    }

    /// The same as a person who has AWS credentials, too.
    pub fn plugin_with_aws(&self, arguments: &[&str]) -> Run {
        let arguments = [arguments, &["-n", TEAM]].concat();
        let mut command = command(&self.cluster.kubeconfig("admin"), &arguments);
        command
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.aws.url())
            .env("AWS_ACCESS_KEY_ID", "story")
            .env("AWS_SECRET_ACCESS_KEY", "story");
        run(&mut command)
    }
}

/// The plugin's binary, built at most once: a stale one would judge yesterday's code.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let name = "kubectl-secret_rotation";
        let build = ["build", "--quiet", "--locked", "--bin", name];
        project::run(project::cargo().args(build)).expect("the plugin builds");
        let folder = project::debug_binaries().expect("cargo names its target folder");
        folder.join(name)
    })
}

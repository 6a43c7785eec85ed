//! The kubectl plugin as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use testenv::project;

use crate::Story;
use crate::story::TEAM;

/// The result of a run of the plugin.
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

    /// Returns standard output; panics if the run failed.
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Returns standard error; panics if the exit status is not 1.
    #[track_caller]
    pub fn fails(self) -> String {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        self.err
    }
}

/// Returns a command of the plugin in the namespace of most stories, without AWS credentials.
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

/// Runs a command and waits until it ends.
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

    /// Runs the plugin as the administrator in [`TEAM`], with AWS credentials.
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

/// Returns the plugin's binary. It is built once per process, so that an outdated binary is never tested.
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

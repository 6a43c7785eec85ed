//! The unmodified AWS CLI, as a Python package in a virtual environment in the cache.
//!
//! Only tests need it. Where Python or its package index is missing, they report that and are skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testenv::project;

/// The version that is installed. The simulator was written from the model in its botocore.
pub const VERSION: &str = "1.45.11";

/// The CLI with the endpoint that it calls.
#[derive(Clone, Debug)]
pub struct AwsCli {
    python: PathBuf,
    endpoint: String,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Printed {
    /// Success, with the output as JSON; null if there was none.
    Output(Value),
    /// Failure, with the message on standard error.
    Complaint(String),
}

impl AwsCli {
    /// Finds the CLI in the cache, or installs it there. An error explains why it cannot be installed.
    pub fn locate(endpoint: &str) -> Result<Self> {
        let cache = project::cache(&format!("awscli-{VERSION}"))?;
        let environment = cache.join("venv");
        if !environment.is_dir() {
            // A lock file prevents two tests from installing at the same time.
            let lock =
                File::create(cache.join("lock")).context("cannot make the lock of the cache")?;
            lock.lock().context("cannot lock the cache")?;
            if !environment.is_dir() {
                install(&cache.join("venv.unfinished"), &environment)?;
            }
        }
        Ok(Self {
            python: python_of(&environment),
            endpoint: endpoint.to_owned(),
        })
    }

    /// Returns the definition of a shell function `aws` that runs the CLI and appends `arguments` to each call.
    pub fn function(&self, arguments: &str) -> String {
        let python = self.python.display();
        format!("aws() {{ '{python}' -m awscli \"$@\" {arguments}; }}\n")
    }

    /// Runs a command line such as `aws secretsmanager list-secrets`.
    pub fn shell(&self, line: &str) -> Result<Printed> {
        let script = format!("{}{line}\n", self.function(""));
        let mut command = Command::new("sh");
        command
            .args(["-euc", &script])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "example")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let output = command.output().context("cannot start a shell")?;
        Printed::of(&output).with_context(|| format!("{line:?} printed something else than JSON"))
    }
}

impl Printed {
    fn of(output: &Output) -> Result<Self> {
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Ok(Self::Complaint(complaint.trim().to_owned()));
        }
        Ok(Self::Output(if output.stdout.trim_ascii().is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&output.stdout)?
        }))
    }
}

/// Installs into another folder and renames it, so that the cache never contains an incomplete installation.
///
/// The scripts of a virtual environment contain its path and do not work after the rename, but `python -m` does.
fn install(aside: &Path, environment: &Path) -> Result<()> {
    if aside.exists() {
        fs::remove_dir_all(aside).context("cannot remove an unfinished installation")?;
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(aside);
    project::output(&mut make).context("python3 cannot make a virtual environment")?;
    let mut pip = Command::new(python_of(aside));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .arg(format!("awscli=={VERSION}"));
    project::output(&mut pip).context("the AWS CLI cannot be installed from PyPI")?;
    fs::rename(aside, environment).context("cannot put the AWS CLI into the cache")
}

fn python_of(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

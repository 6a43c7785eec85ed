//! What people use today to find stuck rotations, next to the product, on the same simulator.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testenv::project;

use super::audit::audit;
use super::estate::{self, STUCK};
use super::results::{Results, mebibytes, number, seconds};
use super::usage::{Spent, spent};
use super::world::Aws;

/// The number of secrets that the shell loop describes. Each call takes about a second of CPU time.
const SHELL_SECRETS: usize = 200;

pub(super) const COLUMNS: [&str; 6] = [
    "Tool",
    "Requests",
    "Wall",
    "CPU",
    "Peak of a process",
    "Found",
];

/// The shell loop of a runbook: list the names, describe each, compare the versions.
const SHELL: &str = r#"
for name in $(aws secretsmanager list-secrets --query 'SecretList[].Name' --output text --max-items "$COUNT"); do
    stages=$(aws secretsmanager describe-secret --secret-id "$name" --query VersionIdsToStages --output json)
    if printf '%s' "$stages" | tr -d ' \n' | grep -q '\["AWSPENDING"\]'; then echo "$name"; fi
done
"#;

/// Describes each secret.
const DESCRIBE_EACH: &str = r#"
import boto3
client = boto3.client("secretsmanager")
for page in client.get_paginator("list_secrets").paginate():
    for secret in page["SecretList"]:
        stages = client.describe_secret(SecretId=secret["ARN"]).get("VersionIdsToStages", {})
        if any("AWSPENDING" in labels and "AWSCURRENT" not in labels for labels in stages.values()):
            print(secret["Name"])
"#;

/// Uses the labels in the list, and describes only what looks stuck.
const LIST_MAP: &str = r#"
import boto3
client = boto3.client("secretsmanager")
stuck = lambda stages: any("AWSPENDING" in labels and "AWSCURRENT" not in labels for labels in stages.values())
for page in client.get_paginator("list_secrets").paginate():
    for secret in page["SecretList"]:
        if stuck(secret.get("SecretVersionsToStages", {})):
            if stuck(client.describe_secret(SecretId=secret["ARN"]).get("VersionIdsToStages", {})):
                print(secret["Name"])
"#;

/// A policy of Cloud Custodian that matches stuck secrets.
const CUSTODIAN: &str = r#"
policies:
- name: stuck
  resource: aws.secrets-manager
  filters:
  - type: value
    key: "length(values(VersionIdsToStages || `{}`)[?contains(@, 'AWSPENDING') && !contains(@, 'AWSCURRENT')])"
    op: gte
    value: 1
"#;

/// A Python package in a virtual environment in the cache.
struct Package {
    name: &'static str,
    version: &'static str,
}

const AWS_CLI: Package = Package {
    name: "awscli",
    version: "1.45.11",
};
const BOTO3: Package = Package {
    name: "boto3",
    version: "1.43.11",
};
const C7N: Package = Package {
    name: "c7n",
    version: "0.9.53",
};

/// Runs one tool.
type Run = fn(&Bench) -> Result<Tool>;

/// Runs every tool over so many secrets, on a simulator of its own.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let folder = tempfile::tempdir()?;
    let (_simulator, aws) = Aws::start(&estate::scenario(secrets), folder.path())?;
    let bench = Bench { aws, secrets };
    let mut results = Results::new(&COLUMNS);
    let tools: [(&str, Run); 5] = [
        ("Shell loop with the AWS CLI", Bench::shell),
        ("boto3, describes each secret", |bench| {
            bench.python(DESCRIBE_EACH)
        }),
        ("boto3, uses the list's labels", |bench| {
            bench.python(LIST_MAP)
        }),
        ("Cloud Custodian", Bench::custodian),
        ("`kubectl secret-rotation audit`", Bench::audit),
    ];
    for (name, tool) in tools {
        bench.aws.take_calls()?;
        match tool(&bench) {
            Ok(tool) => bench.add(name, &tool, &mut results)?,
            Err(error) => results.note(format!("{name}: skipped. {error:#}")),
        }
    }
    results.note(format!(
        "The shell loop describes {} secrets, and its figures are extrapolated to all of them. The other tools read all \
         secrets. The audit sends up to 1,000 reads per second; the others send a request when the last one is answered.",
        SHELL_SECRETS.min(secrets)
    ));
    Ok(results)
}

struct Bench {
    aws: Aws,
    secrets: usize,
}

/// What a tool did.
struct Tool {
    spent: Spent,
    found: usize,
    /// The factor by which the figures are extrapolated.
    factor: u32,
}

impl Bench {
    fn add(&self, name: &str, tool: &Tool, results: &mut Results) -> Result<()> {
        let factor = u64::from(tool.factor);
        let requests = self.aws.take_calls()?.values().sum::<u64>() * factor;
        let (wall, cpu) = (tool.spent.wall * tool.factor, tool.spent.cpu * tool.factor);
        let found = tool.found * usize::try_from(tool.factor)?;
        let about = if tool.factor > 1 { "about " } else { "" };
        results.row(vec![
            name.to_owned(),
            format!("{about}{}", number(usize::try_from(requests)?)),
            format!("{about}{}", seconds(wall)),
            format!("{about}{}", seconds(cpu)),
            mebibytes(tool.spent.peak),
            format!("{about}{} of {}", found, self.secrets / STUCK),
        ]);
        results.sample(json!({
            "benchmark": "tools",
            "secrets": self.secrets,
            "tool": name,
            "extrapolated_by": tool.factor,
            "requests": requests,
            "wall_seconds": wall.as_secs_f64(),
            "cpu_seconds": cpu.as_secs_f64(),
            "peak_bytes": tool.spent.peak,
            "found": found,
        }));
        Ok(())
    }

    fn shell(&self) -> Result<Tool> {
        let python = AWS_CLI.python()?;
        let described = SHELL_SECRETS.min(self.secrets);
        let script = format!(
            "aws() {{ '{}' -m awscli \"$@\"; }}\n{SHELL}",
            python.display()
        );
        let mut command = self.command("sh".into());
        command
            .args(["-euc", &script])
            .env("COUNT", described.to_string());
        Self::measure(&mut command, u32::try_from(self.secrets / described)?)
    }

    fn python(&self, script: &str) -> Result<Tool> {
        let mut command = self.command(BOTO3.python()?);
        command.args(["-c", script]);
        Self::measure(&mut command, 1)
    }

    fn custodian(&self) -> Result<Tool> {
        let python = C7N.python()?;
        let folder = tempfile::tempdir()?;
        let policy = folder.path().join("policy.yml");
        fs::write(&policy, CUSTODIAN)?;
        let mut command = self.command(python);
        command
            .args([
                "-c",
                "from c7n.cli import main; main()",
                "run",
                "--region",
                "eu-west-1",
                "--cache-period",
                "0",
            ])
            .arg("--output-dir")
            .arg(folder.path())
            .arg(&policy);
        let mut tool = Self::measure(&mut command, 1)?;
        let found = fs::read_to_string(folder.path().join("stuck/resources.json"))?;
        let found: serde_json::Value = serde_json::from_str(&found)?;
        tool.found = found.as_array().map_or(0, Vec::len);
        Ok(tool)
    }

    fn audit(&self) -> Result<Tool> {
        let (spent, found) = audit(&self.aws, 1000)?;
        Ok(Tool {
            spent,
            found,
            factor: 1,
        })
    }

    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_ENDPOINT_URL", &self.aws.url)
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stderr(Stdio::null());
        command
    }

    fn measure(command: &mut Command, factor: u32) -> Result<Tool> {
        let spent = spent(command)?;
        ensure!(spent.succeeded, "it failed");
        Ok(Tool {
            found: spent.output.lines().count(),
            spent,
            factor,
        })
    }
}

impl Package {
    /// Returns the Python of the virtual environment, which is created in the cache if it does not exist.
    fn python(&self) -> Result<PathBuf> {
        let Self { name, version } = self;
        let cache = project::cache(&format!("{name}-{version}"))?;
        let environment = cache.join("venv");
        if !environment.is_dir() {
            let aside = cache.join("venv.unfinished");
            if aside.exists() {
                fs::remove_dir_all(&aside)?;
            }
            let mut make = Command::new("python3");
            project::output(make.args(["-m", "venv"]).arg(&aside))
                .context("python3 cannot make a virtual environment")?;
            let mut pip = Command::new(aside.join("bin/python"));
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]);
            project::output(pip.arg(format!("{name}=={version}")))
                .with_context(|| format!("{name} cannot be installed from PyPI"))?;
            fs::rename(&aside, &environment)?;
        }
        Ok(environment.join("bin/python"))
    }
}

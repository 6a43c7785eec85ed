//! `iam-policy`: prints least-privilege IAM policies by level of access, from the files of `deploy/iam`.

mod narrow;
mod terraform;

use std::process::ExitCode;

use crate::CommandError;
use crate::app::App;
use crate::ui::output;
use clap::{Args, ValueEnum};

use narrow::{Partition, Policy, Prefix, Tag, parse_partition, parse_prefix, parse_tag};

/// Print the least-privilege IAM policy for a level of access.
#[derive(Args, Clone, Debug)]
pub struct IamPolicyArgs {
    /// Level of access.
    #[arg(long, value_enum, default_value_t = Level::Observe)]
    pub level: Level,

    /// Output format.
    #[arg(short, long, alias = "format", value_enum, value_name = "FORMAT", default_value_t = Format::Json)]
    pub output: Format,

    /// Allow only secrets whose names have this prefix; can be repeated. Without --tag, no tag is required then.
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    pub secrets: Vec<Prefix>,

    /// Allow only secrets with this tag instead of rotation-controller=enabled.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tag: Option<Tag>,

    /// AWS partition of the account, such as aws-us-gov or aws-cn.
    #[arg(long, default_value = "aws", value_parser = parse_partition)]
    pub partition: Partition,
}

/// A level of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// The controller reads.
    Observe,
    /// The controller also pins, clears and rotates.
    Recover,
    /// The controller also carries out manual operations: promote, revert, restore.
    ByHand,
    /// A person or a pipeline runs audit, list and versions.
    Audit,
    /// A person runs put.
    Put,
}

/// The format of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON, as IAM accepts it.
    Json,
    /// A Terraform resource `aws_iam_policy`.
    Terraform,
}

impl Level {
    /// Returns the file of `deploy/iam`, unchanged.
    const fn file(self) -> &'static str {
        match self {
            Self::Observe => include_str!("../../../../deploy/iam/observe.json"),
            Self::Recover => include_str!("../../../../deploy/iam/recover.json"),
            Self::ByHand => include_str!("../../../../deploy/iam/by-hand.json"),
            Self::Audit => include_str!("../../../../deploy/iam/people/audit.json"),
            Self::Put => include_str!("../../../../deploy/iam/people/put.json"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Recover => "recover",
            Self::ByHand => "by-hand",
            Self::Audit => "audit",
            Self::Put => "put",
        }
    }
}

/// Prints the policy.
#[expect(clippy::unused_async, reason = "every command has the same signature")]
pub(crate) async fn run(_app: &App, args: &IamPolicyArgs) -> Result<ExitCode, CommandError> {
    output::print(&rendered(args)?)?;
    Ok(ExitCode::SUCCESS)
}

fn rendered(args: &IamPolicyArgs) -> Result<String, CommandError> {
    let file = args.level.file();
    let as_it_is = args.secrets.is_empty() && args.tag.is_none() && args.partition.is_default();
    let text = if as_it_is {
        file.to_owned()
    } else {
        narrowed(file, args)?
    };
    Ok(match args.output {
        Format::Json => text,
        Format::Terraform => terraform::resource(args.level.name(), &text),
    })
}

fn narrowed(file: &str, args: &IamPolicyArgs) -> Result<String, CommandError> {
    let failed = |error| CommandError::new(format!("the policy is not JSON: {error}"));
    let mut policy: Policy = serde_json::from_str(file).map_err(failed)?;
    if !args.secrets.is_empty() || args.tag.is_some() {
        policy.bound(&args.secrets, args.tag.as_ref());
    }
    policy.move_to(&args.partition);
    let text = serde_json::to_string_pretty(&policy).map_err(failed)?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const LEVELS: [Level; 5] = [
        Level::Observe,
        Level::Recover,
        Level::ByHand,
        Level::Audit,
        Level::Put,
    ];

    fn args(level: Level) -> IamPolicyArgs {
        IamPolicyArgs {
            level,
            output: Format::Json,
            secrets: Vec::new(),
            tag: None,
            partition: parse_partition("aws").expect("a partition"),
        }
    }

    fn statements(text: &str) -> Vec<Value> {
        let policy: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(policy["Version"], "2012-10-17");
        policy["Statement"].as_array().expect("statements").clone()
    }

    fn actions(statement: &Value) -> Vec<String> {
        let text = |value: &Value| value.as_str().expect("an action").to_owned();
        match statement["Action"].as_array() {
            Some(actions) => actions.iter().map(text).collect(),
            None => vec![text(&statement["Action"])],
        }
    }

    #[test]
    fn an_unlimited_policy_is_the_file_of_deploy() {
        for level in LEVELS {
            assert_eq!(rendered(&args(level)), Ok(level.file().to_owned()));
        }
    }

    #[test]
    fn no_level_reads_a_value_and_only_put_writes_one() {
        for level in LEVELS {
            let (mut allowed, mut denied) = (BTreeSet::new(), BTreeSet::new());
            let mut sids = BTreeSet::new();
            for statement in statements(level.file()) {
                let set = if statement["Effect"] == "Allow" {
                    &mut allowed
                } else {
                    &mut denied
                };
                set.extend(actions(&statement));
                assert!(sids.insert(statement["Sid"].to_string()), "{level:?}");
            }
            let reads = ["GetSecretValue", "BatchGetSecretValue"]
                .map(|action| format!("secretsmanager:{action}"));
            // For a person, a Deny would also remove permissions that the person has from elsewhere.
            let is_shut = reads.iter().all(|read| denied.contains(read));
            assert_eq!(is_shut, level != Level::Put, "{level:?}");
            assert!(
                reads.iter().all(|read| !allowed.contains(read)),
                "{level:?}"
            );
            assert!(
                allowed.iter().all(|action| !action.contains('*')),
                "{level:?}"
            );
            let writes = allowed.contains("secretsmanager:PutSecretValue");
            assert_eq!(writes, level == Level::Put, "{level:?}");
        }
    }

    #[test]
    fn prefixes_and_tags_limit_every_statement_that_allows_something_on_secrets() {
        let bounded = IamPolicyArgs {
            secrets: vec![parse_prefix("payments/").expect("a prefix")],
            tag: Some(parse_tag("team=payments").expect("a tag")),
            ..args(Level::ByHand)
        };
        for statement in statements(&rendered(&bounded).expect("a policy")) {
            if statement["Effect"] == "Deny" || statement["Sid"] == "Discover" {
                continue;
            }
            assert_eq!(
                statement["Resource"],
                serde_json::json!(["arn:aws:secretsmanager:*:*:secret:payments/*"])
            );
            let condition = &statement["Condition"]["StringEquals"];
            assert_eq!(
                *condition,
                serde_json::json!({"aws:ResourceTag/team": "payments"})
            );
        }
    }

    #[test]
    fn a_prefix_replaces_the_tag() {
        let bounded = IamPolicyArgs {
            secrets: vec![parse_prefix("a/").expect("a prefix")],
            ..args(Level::Recover)
        };
        let text = rendered(&bounded).expect("a policy");
        assert!(!text.contains("aws:ResourceTag"));
        assert!(
            text.contains("secretsmanager:VersionStage"),
            "other conditions stay"
        );
    }

    #[test]
    fn another_partition_is_in_every_arn_and_changes_nothing_else() {
        for level in LEVELS {
            let elsewhere = IamPolicyArgs {
                partition: parse_partition("aws-us-gov").expect("a partition"),
                ..args(level)
            };
            let text = rendered(&elsewhere).expect("a policy");
            let moved = level.file().replace("arn:aws:", "arn:aws-us-gov:");
            assert!(
                moved.contains("arn:aws-us-gov:secretsmanager:"),
                "{level:?}"
            );
            assert_eq!(statements(&text), statements(&moved), "{level:?}");
        }
        for text in ["", "gov", "aws-*", "AWS", "aws-", "aws:x"] {
            assert!(parse_partition(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_with_a_wildcard_is_rejected() {
        for text in ["", "a*", "a?", "${aws:username}", "ä"] {
            assert!(parse_prefix(text).is_err(), "{text}");
        }
        assert!(parse_tag("novalue").is_err());
    }

    #[test]
    fn terraform_has_the_same_statements() {
        let printed = rendered(&IamPolicyArgs {
            output: Format::Terraform,
            ..args(Level::Put)
        });
        let printed = printed.expect("a resource");
        assert!(printed.starts_with("resource \"aws_iam_policy\" \"secret_rotation_put\" {\n"));
        let body = printed
            .split_once("jsonencode(")
            .and_then(|(_, rest)| rest.rsplit_once(")\n}"))
            .map(|(body, _)| body);
        assert_eq!(
            statements(body.expect("a body")),
            statements(Level::Put.file())
        );
    }
}

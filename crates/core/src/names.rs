//! Names and identifiers, parsed once at the edge of the program. No plain `String` has a meaning after that.

use std::fmt;

use thiserror::Error;

/// A text that is not a valid name of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidName {
    text: String,
    expected: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Parses the text.
            ///
            ///
            /// # Errors
            ///
            ///
            /// Returns an error that names the expected format if the text is invalid.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidName { text, expected: $expected }) }
            }

            /// Returns the name, verbatim.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn bounded(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.chars().all(|c| !c.is_control())
}

name!(
    /// The friendly name of a secret, 1 to 512 characters.
    SecretName, "a secret name of 1 to 512 characters", |text| bounded(text, 512)
);
name!(
    /// The id of a secret's version, compared verbatim: AWS preserves its case.
    VersionId, "a version id of 1 to 64 characters", |text| bounded(text, 64)
);
name!(
    /// A staging label, 1 to 256 characters.
    StageLabel, "a staging label of 1 to 256 characters", |text| bounded(text, 256)
);
name!(
    /// An AWS region such as `eu-west-1`.
    ///
    /// A region becomes part of a host name, so only lower-case letters, digits and hyphens are valid.
    Region, "a region such as eu-west-1",
    |text| (5..=32).contains(&text.len())
        && text.contains('-')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
);
name!(
    /// A twelve-digit AWS account number.
    AccountId, "an account id of 12 digits", |text| text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
);
name!(
    /// The ARN of a rotation function.
    FunctionArn, "a function ARN", |text| bounded(text, 2048)
);
name!(
    /// The name of an `AWSAccessProfile`.
    ProfileName, "a profile name of 1 to 253 characters", |text| bounded(text, 253)
);
name!(
    /// The name of a Kubernetes namespace.
    Namespace, "a namespace name of 1 to 63 characters", |text| bounded(text, 63)
);
name!(
    /// The name of a Kubernetes object within its namespace.
    ObjectName, "an object name of 1 to 253 characters", |text| bounded(text, 253)
);
name!(
    /// The UID of a Kubernetes object. Unlike a name, it is never used twice.
    Uid, "a UID of 1 to 128 characters", |text| bounded(text, 128)
);

impl SecretName {
    /// Returns whether AWS may accept the text as a name, or as a part of one: ASCII letters, digits and `/_+=.@-` (API
    /// reference, `CreateSecret`). Names that AWS returns are not checked.
    pub fn is_possible(text: &str) -> bool {
        text.len() <= 512
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c))
    }
}

impl StageLabel {
    /// Returns `AWSCURRENT`: the label of the version that applications read.
    pub fn current() -> Self {
        Self("AWSCURRENT".to_owned())
    }

    /// Returns `AWSPENDING`: the label of the version that a rotation is making.
    pub fn pending() -> Self {
        Self("AWSPENDING".to_owned())
    }

    /// Returns `AWSPREVIOUS`: the label of the version that was current before.
    pub fn previous() -> Self {
        Self("AWSPREVIOUS".to_owned())
    }
}

/// The namespace and name of a policy or an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: Namespace,
    /// The name in that namespace.
    pub name: ObjectName,
}

impl ObjectKey {
    /// Returns a key that no object has, and that comes before every key of the namespace.
    pub fn before_all_in(namespace: &Namespace) -> Self {
        Self {
            namespace: namespace.clone(),
            name: ObjectName(String::new()),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The parts of an ARN: `arn:<partition>:<service>:<region>:<account>:<resource>`.
struct ArnParts<'a> {
    partition: &'a str,
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> ArnParts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        Some(Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }
}

macro_rules! arn {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            text: String,
            region: Region,
            account: AccountId,
        }

        impl $name {
            /// Parses the ARN.
            ///
            ///
            /// # Errors
            ///
            ///
            /// Returns an error that names the expected kind of ARN if the text is invalid.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&ArnParts<'_>) -> bool = $valid;
                let parts = ArnParts::of(&text).filter(valid);
                let parsed = parts.and_then(|parts| {
                    Some((Region::parse(parts.region).ok()?, AccountId::parse(parts.account).ok()?))
                });
                match parsed {
                    Some((region, account)) => Ok(Self { text, region, account }),
                    None => Err(InvalidName { text, expected: $expected }),
                }
            }

            /// Returns the complete ARN.
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// Returns the region in the ARN.
            pub const fn region(&self) -> &Region {
                &self.region
            }

            /// Returns the account in the ARN.
            pub const fn account(&self) -> &AccountId {
                &self.account
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
    };
}

arn!(
    /// The ARN of a secret: `arn:<partition>:secretsmanager:<region>:<account>:secret:<name>-<suffix>`.
    ///
    /// ARNs are always compared as a whole: names that end in `-xxxxxx` make partial ARNs ambiguous.
    Arn, "the ARN of a secret",
    |parts| {
        let resource = parts.resource.strip_prefix("secret:");
        let is_named = |resource: &str| bounded(resource, 519) && bounded(name_in(resource), 512);
        !parts.partition.is_empty()
            && parts.service == "secretsmanager"
            && resource.is_some_and(is_named)
    }
);
arn!(
    /// The ARN of a queue: `arn:<partition>:sqs:<region>:<account>:<name>`.
    ///
    /// Names have 1 to 80 letters, digits, hyphens and underscores. FIFO queues, whose names end in `.fifo`, are invalid:
    /// AWS sends no events to them.
    QueueArn, "the ARN of an SQS queue",
    |parts| {
        let is_in_partition = |c: char| c.is_ascii_lowercase() || c == '-';
        let is_in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !parts.partition.is_empty()
            && parts.partition.chars().all(is_in_partition)
            && parts.service == "sqs"
            && (1..=80).contains(&parts.resource.len())
            && parts.resource.chars().all(is_in_name)
    }
);

impl Arn {
    /// Returns whether it is the other ARN, followed by a hyphen and six characters.
    pub fn is_suffixed(&self, other: &Self) -> bool {
        let suffix = self.text.strip_prefix(&other.text);
        let suffix = suffix.and_then(|rest| rest.strip_prefix('-'));
        suffix.is_some_and(|suffix| suffix.len() == 6 && !suffix.contains(['-', '/']))
    }

    /// Returns the part after `secret:`.
    pub fn resource(&self) -> &str {
        self.text.splitn(7, ':').nth(6).unwrap_or_default()
    }

    /// Returns the name of the secret: the part before the hyphen and the six characters that AWS adds.
    pub fn name(&self) -> &str {
        name_in(self.resource())
    }

    /// Returns the name of the secret as a [`SecretName`]. Every ARN that was parsed contains a valid one.
    pub fn secret_name(&self) -> SecretName {
        SecretName(self.name().to_owned())
    }
}

fn name_in(resource: &str) -> &str {
    match resource.rsplit_once('-') {
        Some((name, suffix)) if suffix.len() == 6 && !name.is_empty() => name,
        Some(_) | None => resource,
    }
}

impl QueueArn {
    /// Returns the partition in the ARN, such as `aws` or `aws-cn`.
    pub fn partition(&self) -> &str {
        self.text.split(':').nth(1).unwrap_or_default()
    }

    /// Returns the name of the queue.
    pub fn name(&self) -> &str {
        self.text.rsplit(':').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_arn_has_partition_region_account_and_name() {
        let queue = QueueArn::parse("arn:aws-cn:sqs:cn-north-1:111122223333:rotation_events")
            .expect("valid");
        assert_eq!(
            (
                queue.partition(),
                queue.region().as_str(),
                queue.account().as_str(),
                queue.name()
            ),
            ("aws-cn", "cn-north-1", "111122223333", "rotation_events")
        );
    }

    #[test]
    fn an_arn_of_anything_but_a_standard_queue_is_refused() {
        for text in [
            "",
            "arn:aws:sns:eu-west-1:111122223333:a",
            "arn:aws:sqs:eu-west-1:111122223333:",
            "arn:aws:sqs:eu-west-1:111122223333:a.fifo",
            "arn:aws:sqs:eu-west-1:111122223333:a/../b",
            "arn:aws:sqs:evil.example:111122223333:a",
            "arn:aws:sqs:eu-west-1:1111:a",
            "arn::sqs:eu-west-1:111122223333:a",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/a",
        ] {
            assert!(QueueArn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_arn_knows_its_region_and_account() {
        let arn = Arn::parse("arn:aws:secretsmanager:eu-west-1:111122223333:secret:a/b-AbCdEf")
            .expect("valid");
        assert_eq!(arn.region().as_str(), "eu-west-1");
        assert_eq!(arn.account().as_str(), "111122223333");
    }

    #[test]
    fn the_name_in_an_arn_ends_before_the_characters_that_aws_adds() {
        let name = |resource: &str| {
            let text = format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{resource}");
            Arn::parse(text).expect("valid").name().to_owned()
        };
        assert_eq!(name("a/b-AbCdEf"), "a/b");
        assert_eq!(
            name("team-dbmain-AbCdEf"),
            "team-dbmain",
            "AWS adds only the last six characters"
        );
        assert_eq!(name("whole"), "whole");
        assert_eq!(name("-AbCdEf"), "-AbCdEf");
    }

    #[test]
    fn the_name_in_an_arn_is_a_name_whatever_its_length() {
        let arn = |resource: &str| {
            Arn::parse(format!(
                "arn:aws:secretsmanager:eu-west-1:111122223333:secret:{resource}"
            ))
        };
        let longest = "x".repeat(512);
        for resource in [longest.clone(), format!("{longest}-AbCdEf")] {
            let name = arn(&resource).expect("valid").secret_name();
            assert_eq!(SecretName::parse(name.as_str()), Ok(name));
        }
        for resource in [format!("{longest}x"), format!("{longest}x-AbCdEf")] {
            assert!(arn(&resource).is_err(), "{}", resource.len());
        }
    }

    #[test]
    fn arns_of_other_services_and_incomplete_arns_are_refused() {
        for text in [
            "",
            "arn:aws:s3:eu-west-1:111122223333:secret:a",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:",
            "arn:aws:secretsmanager:evil.example:111122223333:secret:a",
            "arn:aws:secretsmanager:eu-west-1:1111:secret:a",
            "a/b",
        ] {
            assert!(Arn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_region_cannot_contain_a_host_name() {
        assert!(Region::parse("eu-west-1").is_ok());
        for text in [
            "eu-west-1.evil",
            "eu-west-1/",
            "EU-west-1",
            "x",
            "-aaaaa",
            "eu west",
        ] {
            assert!(Region::parse(text).is_err(), "{text}");
        }
    }
}

//! The SECRET argument: a name, or an ARN in each form that AWS accepts.

use clap::Args;
use secret_rotation_aws::{Account, Operation};
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::names::{Arn, Region, SecretName};
use secret_rotation_core::secret::{Look, Seen};

use super::session::{Session, parse_region};
use crate::CommandError;

/// The SECRET argument with its region.
#[derive(Args, Clone, Debug)]
pub struct SecretArg {
    /// Name of the secret, or its ARN with or without its six-character suffix.
    #[arg(value_name = "SECRET", value_parser = SecretId::parse)]
    pub secret: SecretId,

    /// AWS region of the secret; by default that of the ARN, else of the AWS profile.
    #[arg(long, value_name = "REGION", value_parser = parse_region, help_heading = "AWS")]
    pub region: Option<Region>,
}

/// A secret as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretId {
    /// A name.
    Name(SecretName),
    /// An ARN. It may lack the hyphen and the six characters that AWS adds to the name. Both forms look alike if the
    /// name itself ends in that way.
    Arn(Arn),
}

impl SecretId {
    /// Parses a name or an ARN.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("arn:") {
            let arn = Arn::parse(text).map_err(|error| error.to_string())?;
            return Ok(Self::Arn(arn));
        }
        let name = SecretName::parse(text).map_err(|error| error.to_string())?;
        Ok(Self::Name(name))
    }

    /// Returns the text that was typed.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Name(name) => name.as_str(),
            Self::Arn(arn) => arn.as_str(),
        }
    }

    /// Returns the names that it can stand for, the most likely first.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name.as_str()],
            Self::Arn(arn) if arn.name() == resource(arn) => vec![arn.name()],
            Self::Arn(arn) => vec![arn.name(), resource(arn)],
        }
    }

    /// Returns the region, if it names one.
    pub(crate) fn region(&self) -> Option<&Region> {
        match self {
            Self::Name(_) => None,
            Self::Arn(arn) => Some(arn.region()),
        }
    }

    /// Returns whether it means the secret with this name and region, whose ARN may be known.
    pub(crate) fn means(&self, name: &str, region: &str, arn: Option<&str>) -> bool {
        match (self, arn) {
            (Self::Name(own), _) => own.as_str() == name,
            (Self::Arn(own), Some(arn)) => is_same(own, arn),
            (Self::Arn(own), None) => {
                own.region().as_str() == region && self.names().contains(&name)
            }
        }
    }
}

/// Returns the part after the last colon of an ARN: name, hyphen and six characters, or only the name.
fn resource(arn: &Arn) -> &str {
    arn.as_str().splitn(7, ':').nth(6).unwrap_or_default()
}

/// Returns whether a typed ARN is this complete one, or this one without its end.
fn is_same(typed: &Arn, whole: &str) -> bool {
    let rest = whole.strip_prefix(typed.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.len() == 7 && rest.starts_with('-'))
}

impl std::fmt::Display for SecretId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SecretArg {
    /// Returns the region to use.
    pub(crate) fn region(&self, session: &Session) -> Result<Region, CommandError> {
        match agreed(&self.secret, self.region.as_ref())? {
            Some(region) => Ok(region),
            None => session.region("--region"),
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    ///
    /// Returns an error that names the missing permissions.
    pub(crate) async fn look(
        &self,
        session: &Session,
        account: &Account,
        versions: bool,
    ) -> Result<Look, CommandError> {
        let looked = look(account, &self.secret, versions).await;
        looked.map_err(|error| {
            let mut asked = vec![Operation::DescribeSecret];
            asked.extend(versions.then_some(Operation::ListSecretVersionIds));
            session.problem(&error, &asked, account.region()).into()
        })
    }

    /// Returns the error that the secret does not exist.
    pub(crate) fn absent(&self, region: &Region) -> CommandError {
        CommandError::new(format!("no secret {} exists in {region}", self.secret)).with_hint(
            format!("`kubectl secret-rotation list --regions {region}` lists those that exist"),
        )
    }
}

/// Returns the region of the ARN or the one that was typed.
///
/// # Errors
///
/// Returns an error if both exist and differ.
pub(crate) fn agreed(
    secret: &SecretId,
    typed: Option<&Region>,
) -> Result<Option<Region>, CommandError> {
    match (typed, secret.region()) {
        (Some(typed), Some(of_arn)) if typed != of_arn => Err(CommandError::usage(format!(
            "the ARN is in region {of_arn}, but --region is {typed}"
        ))),
        (typed, of_arn) => Ok(of_arn.or(typed).cloned()),
    }
}

/// Reads a secret by what was typed. AWS answers a partial ARN with the complete one, which may be another secret with
/// the same beginning. So this asks by name, and requires that the answer has that ARN.
async fn look(account: &Account, secret: &SecretId, versions: bool) -> Result<Look, AwsError> {
    let arn = match secret {
        SecretId::Name(name) => return account.look(name.as_str(), versions).await,
        SecretId::Arn(arn) => arn,
    };
    if arn.name() != resource(arn) {
        let whole = account.look(arn.as_str(), versions).await?;
        if whole.secret != Seen::Absent {
            return Ok(whole);
        }
    }
    let found = account.look(resource(arn), versions).await?;
    Ok(match &found.secret {
        Seen::Present(secret) if !is_same(arn, secret.arn.as_str()) => Look {
            secret: Seen::Absent,
            versions: None,
            ..found
        },
        Seen::Present(_) | Seen::Absent => found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/ledger-HLqSTB";
    const PARTIAL: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/ledger";

    fn id(text: &str) -> SecretId {
        SecretId::parse(text).expect("a secret")
    }

    #[test]
    fn every_form_of_an_id_matches_its_secret() {
        for text in ["payments/ledger", WHOLE, PARTIAL] {
            assert!(
                id(text).means("payments/ledger", "eu-west-1", Some(WHOLE)),
                "{text}"
            );
            assert!(
                id(text).means("payments/ledger", "eu-west-1", None),
                "{text}"
            );
            assert!(
                !id(text).means("payments/ledger2", "eu-west-1", None),
                "{text}"
            );
        }
        let other = WHOLE.replace("HLqSTB", "AbCdEf");
        assert!(!id(WHOLE).means("payments/ledger", "eu-west-1", Some(&other)));
        let elsewhere = PARTIAL.replace("eu-west-1", "us-east-1");
        assert!(!id(&elsewhere).means("payments/ledger", "eu-west-1", Some(WHOLE)));
        assert!(!id(&elsewhere).means("payments/ledger", "eu-west-1", None));
    }

    #[test]
    fn a_name_that_ends_like_an_arn_is_found_by_both_forms() {
        let whole = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-abcdef-HLqSTB";
        let partial = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-abcdef";
        assert_eq!(id(partial).names(), ["db", "db-abcdef"]);
        for text in [whole, partial] {
            assert!(
                id(text).means("db-abcdef", "eu-west-1", Some(whole)),
                "{text}"
            );
        }
    }

    #[test]
    fn text_that_is_no_secret_is_rejected() {
        for text in [
            "",
            "arn:aws:s3:::bucket",
            "arn:aws:secretsmanager:eu-west-1",
        ] {
            assert!(SecretId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_arn_and_the_region_flag_must_agree() {
        let typed = |text| Region::parse(text).expect("a region");
        let eu = typed("eu-west-1");
        assert_eq!(agreed(&id(PARTIAL), None), Ok(Some(eu.clone())));
        assert_eq!(agreed(&id(PARTIAL), Some(&eu)), Ok(Some(eu.clone())));
        assert_eq!(agreed(&id("a"), Some(&eu)), Ok(Some(eu)));
        assert_eq!(agreed(&id("a"), None), Ok(None));
        assert!(agreed(&id(PARTIAL), Some(&typed("us-east-1"))).is_err());
    }
}

//! Which secret is meant: by name in a region, or by whole ARN.

use clap::Args;
use secret_rotation_aws::{Account, Operation};
use secret_rotation_core::identity::{Arn, Region, SecretName};
use secret_rotation_core::secret::Look;

use crate::Failure;
use crate::aws::{Login, Trouble, parse_region};

/// One secret as it is typed.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The name of the secret, or its whole ARN.
    #[arg(value_name = "SECRET", value_parser = parse_secret)]
    pub secret: String,

    /// The AWS region of the secret; that of the ARN or of the AWS profile if left out.
    #[arg(long, value_name = "REGION", value_parser = parse_region, help_heading = "AWS")]
    pub region: Option<Region>,
}

impl Place {
    /// The region to ask in.
    pub(crate) fn region(&self, login: &Login) -> Result<Region, Failure> {
        let of_arn = Arn::parse(&self.secret)
            .ok()
            .map(|arn| arn.region().clone());
        match (&self.region, of_arn) {
            (Some(typed), Some(of_arn)) if *typed != of_arn => Err(Failure::usage(format!(
                "the ARN is of region {of_arn}, not of {typed}"
            ))),
            (_, Some(region)) => Ok(region),
            (Some(region), None) => Ok(region.clone()),
            (None, None) => login.region(),
        }
    }

    /// Looks at the secret; says what is missing if that fails.
    pub(crate) async fn look(&self, account: &Account, versions: bool) -> Result<Look, Failure> {
        let looked = account.look(&self.secret, versions).await;
        looked.map_err(|error| {
            let mut asked = vec![Operation::DescribeSecret];
            asked.extend(versions.then_some(Operation::ListSecretVersionIds));
            Trouble::of(&error, &asked, account.region()).into()
        })
    }

    /// That there is no such secret.
    pub(crate) fn absent(&self, region: &Region) -> Failure {
        Failure::new(format!("no secret {} exists in {region}", self.secret)).hint(format!(
            "`kubectl secret-rotation list --regions {region}` shows those that do"
        ))
    }
}

fn parse_secret(text: &str) -> Result<String, String> {
    if text.starts_with("arn:") {
        let arn = Arn::parse(text).map_err(|error| error.to_string())?;
        return Ok(arn.as_str().to_owned());
    }
    let name = SecretName::parse(text).map_err(|error| error.to_string())?;
    Ok(name.as_str().to_owned())
}

//! An AWS session: the SDK configuration, with a checked endpoint and proxy.

use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_types::service_config::ServiceConfigKey;
use clap::Args;
use secret_rotation_aws::{
    Account, Call, Endpoint, EndpointError, Observer, Operation, RateLimits,
};
use secret_rotation_core::aws_error::{AwsError, Cause, ErrorClass};
use secret_rotation_core::names::Region;

use super::errors::{FailedCalls, Problem};
use crate::CommandError;
use crate::proxy::{Proxy, socks_client};

/// Only `put` writes, one secret at a time, after the user confirms.
const WRITES_PER_SECOND: u32 = 1;

/// AWS credentials and endpoint.
#[derive(Args, Clone, Debug, Default)]
pub struct AwsOptions {
    /// Profile of the AWS configuration file; by default the default credential chain.
    #[arg(long, value_name = "AWS_PROFILE", help_heading = "AWS")]
    pub profile: Option<String>,

    /// Accept a custom AWS endpoint that is not on loopback, from the environment or the AWS profile.
    #[arg(
        long,
        env = "SECRET_ROTATION_ALLOW_CUSTOM_ENDPOINT",
        help_heading = "AWS"
    )]
    pub allow_custom_endpoint: bool,
}

/// The rate of requests.
#[derive(Args, Clone, Copy, Debug)]
pub struct RateArgs {
    /// Read requests per second and region, after a burst of 100; the default is that of the controller.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "AWS")]
    pub reads_per_second: u32,
}

/// Arguments of commands that sweep AWS.
#[derive(Args, Clone, Debug)]
pub struct AwsQuery {
    /// AWS regions to read, separated by commas; by default the region of the AWS profile.
    #[arg(long, value_delimiter = ',', value_name = "REGION", value_parser = parse_region)]
    pub regions: Vec<Region>,

    /// AWS credentials and endpoint.
    #[command(flatten)]
    pub options: AwsOptions,

    /// The rate of requests.
    #[command(flatten)]
    pub rate: RateArgs,
}

impl Default for RateArgs {
    fn default() -> Self {
        Self {
            reads_per_second: 20,
        }
    }
}

/// The variables that set the endpoint of Secrets Manager, as crate `aws` reads them.
const SPECIFIC: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";
const GENERAL: &str = "AWS_ENDPOINT_URL";

/// The SDK configuration with a checked endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    config: SdkConfig,
    /// The profile that a flag or a variable names.
    profile: Option<String>,
    /// The endpoint that a variable or the profile names.
    endpoint: Option<String>,
}

impl AwsOptions {
    /// Loads the configuration as the SDK does, and checks endpoint and proxy before any request. Every command that
    /// uses AWS starts here.
    ///
    /// # Errors
    ///
    /// Returns an error if the endpoint is not allowed, or if a proxy variable is invalid.
    pub(crate) async fn session(&self) -> Result<Session, CommandError> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if Proxy::may_be_socks()? {
            let client = socks_client().map_err(|error| {
                CommandError::new(format!("the trusted certificates cannot be read: {error}"))
            })?;
            loader = loader.http_client(client);
        }
        let config = loader.load().await;
        let found = |variable: &str| configured(&config, variable);
        let endpoint = Endpoint::discover(found, self.allow_custom_endpoint)
            .map_err(|error| refused(&error))?;
        let named = std::env::var("AWS_PROFILE").ok();
        Ok(Session {
            endpoint: endpoint.map(|endpoint| endpoint.address().to_owned()),
            profile: self
                .profile
                .clone()
                .or(named.filter(|name| !name.is_empty())),
            config,
        })
    }
}

impl Session {
    /// Returns the region of the environment or the profile. `flag` is the flag that names another.
    ///
    /// # Errors
    ///
    /// Returns an error if neither names a region.
    pub(crate) fn region(&self, flag: &str) -> Result<Region, CommandError> {
        let hint = format!("set one with {flag}, AWS_REGION or in the AWS profile");
        let Some(region) = self.config.region() else {
            return Err(CommandError::usage("no AWS region is configured").with_hint(hint));
        };
        Region::parse(region.as_ref())
            .map_err(|error| CommandError::usage(error.to_string()).with_hint(hint))
    }

    /// Returns the named regions, by default the one of the environment or the profile.
    ///
    /// # Errors
    ///
    /// Returns an error if no region is named anywhere.
    pub(crate) fn regions(&self, named: &[Region]) -> Result<Vec<Region>, CommandError> {
        if named.is_empty() {
            return Ok(vec![self.region("--regions")?]);
        }
        Ok(named.to_vec())
    }

    /// Explains an error of one of the failed calls.
    pub(crate) fn explain(
        &self,
        failed_calls: &FailedCalls,
        error: &AwsError,
        region: &Region,
    ) -> Problem {
        self.problem(error, &failed_calls.of_class(error.class), region)
    }

    /// Explains an error, with the profile and the proxy that it is about.
    pub(crate) fn problem(
        &self,
        error: &AwsError,
        asked: &[Operation],
        region: &Region,
    ) -> Problem {
        let problem = Problem::of(error, asked, region);
        let hint = match error.cause() {
            Some(Cause::SessionExpired) => self.profile.as_ref().map(|profile| {
                format!(
                    "sign in again with `aws sso login --profile {profile}` or `aws login --profile {profile}`"
                )
            }),
            Some(Cause::CredentialsNotObtained) => self.profile.as_ref().map(|profile| {
                format!(
                    "`aws sts get-caller-identity --profile {profile}` shows what fails; if profile {profile} uses a login, sign in with `aws sso login --profile {profile}` or `aws login --profile {profile}`"
                )
            }),
            Some(Cause::CredentialsMissing) => self.profile.as_ref().map(|profile| {
                format!(
                    "profile {profile} does not exist or has no credentials: `aws configure list-profiles` lists the profiles; select another with --profile"
                )
            }),
            _ if error.class == ErrorClass::Unreachable => self
                .proxy(region)
                .map(|proxy| format!("{}; requests go through {proxy}", problem.hint)),
            _ => None,
        };
        match hint {
            Some(hint) => Problem { hint, ..problem },
            None => problem,
        }
    }

    fn proxy(&self, region: &Region) -> Option<Proxy> {
        let own = format!("https://secretsmanager.{region}.amazonaws.com");
        let endpoint = self.endpoint.as_ref().unwrap_or(&own).parse().ok()?;
        Proxy::to_aws(&endpoint).ok().flatten()
    }

    /// Returns one region of the account, with an observer of its calls.
    pub(crate) fn observed_account(
        &self,
        region: Region,
        rate: RateArgs,
        observer: Observer,
    ) -> Account {
        let limits = RateLimits {
            reads_per_second: rate.reads_per_second,
            writes_per_second: WRITES_PER_SECOND,
        };
        Account::with_config(&self.config, region, limits, observer)
    }

    /// Returns one region of the account, without an observer.
    pub(crate) fn account(&self, region: Region) -> Account {
        self.observed_account(region, RateArgs::default(), Arc::new(|_: &Call| {}))
    }

    /// Returns the configuration, for the one request that crate `aws` does not have.
    pub(crate) const fn config(&self) -> &SdkConfig {
        &self.config
    }
}

/// Returns the endpoint that the SDK would use, also if a profile of the configuration file names it.
///
/// A profile can set it where neither variable does. It then stands for the variable of the service, which takes
/// precedence.
fn configured(config: &SdkConfig, variable: &str) -> Option<String> {
    match variable {
        SPECIFIC if is_set(SPECIFIC) || !is_set(GENERAL) => {
            let key = ServiceConfigKey::builder()
                .service_id("Secrets Manager")
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url")
                .build()
                .ok()?;
            config.service_config()?.load_config(key)
        }
        SPECIFIC => None,
        GENERAL => config.endpoint_url().map(str::to_owned),
        other => std::env::var(other).ok(),
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|text| !text.is_empty())
}

fn refused(error: &EndpointError) -> CommandError {
    let (EndpointError::Unreadable { variable } | EndpointError::NotAllowed { variable, .. }) =
        error;
    let message = if is_set(variable) {
        error.to_string()
    } else {
        let setting = "endpoint_url of the AWS profile";
        error.to_string().replacen(variable, setting, 1)
    };
    CommandError::usage(message).with_hint(match error {
        EndpointError::Unreadable { .. } => "use the form http(s)://host[:port]",
        EndpointError::NotAllowed { .. } => {
            "--allow-custom-endpoint allows it; signed requests then go to that host"
        }
    })
}

/// Parses a region.
pub(crate) fn parse_region(text: &str) -> Result<Region, String> {
    Region::parse(text).map_err(|error| error.to_string())
}

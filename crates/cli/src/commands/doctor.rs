//! `doctor`: checks everything that the product depends on, one line per check.
//!
//! A check that cannot be made is a warning and does not fail the others.

mod aws;
mod caller;
mod cluster;
mod controller;
mod result;

use std::process::ExitCode;

use clap::Args;
use secret_rotation_core::names::Region;

use crate::CommandError;
use crate::app::App;
use crate::aws::{AwsOptions, parse_region};
use crate::ui::output;

pub(crate) use result::{CheckResult, Grade};

/// Check the installation, your permissions in the cluster and your access to AWS, with hints.
///
/// Exit status: 0 no check FAILED; 1 a check FAILED.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Namespace of the controller.
    #[arg(long, value_name = "NAME", default_value = "secret-rotation-system")]
    pub controller_namespace: String,

    /// Regions in which to check your own access to AWS, separated by commas; with only --profile, the region of the
    /// profile.
    #[arg(long, value_delimiter = ',', value_name = "REGION", value_parser = parse_region)]
    pub regions: Vec<Region>,

    /// AWS credentials and endpoint.
    #[command(flatten)]
    pub aws: AwsOptions,
}

/// Makes all checks, and prints each result as soon as it is known.
pub(crate) async fn run(app: &App, args: &DoctorArgs) -> Result<ExitCode, CommandError> {
    let mut worst = Grade::Ok;
    let mut report = |results: Vec<CheckResult>| {
        worst = results
            .iter()
            .map(|result| result.grade)
            .fold(worst, Grade::max);
        let lines: String = results.iter().map(ToString::to_string).collect();
        output::print(&lines)
    };
    match app.cluster().await {
        Err(failure) => report(vec![cluster::unreachable(&failure)])?,
        Ok(connected) => {
            let (client, namespace) = (connected.client(), connected.namespace());
            let (reached, now) = cluster::server(client).await;
            let is_reached = reached.grade != Grade::Failed;
            report(vec![reached])?;
            if is_reached {
                report(cluster::crds(client).await)?;
                report(cluster::admission(client).await)?;
                report(controller::check(client, &args.controller_namespace, now).await)?;
                report(caller::check(client, namespace).await)?;
                report(cluster::profiles(client).await)?;
            }
        }
    }
    report(aws::check(&args.aws, &args.regions).await)?;
    Ok(match worst {
        Grade::Ok | Grade::Warn => ExitCode::SUCCESS,
        Grade::Failed => ExitCode::FAILURE,
    })
}

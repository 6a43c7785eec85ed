//! `doctor`: looks at everything that must be in place, one line a check, as far as it can be reached.
//!
//! A check that cannot be made is a warning, not a failure of the others.

mod aws;
mod caller;
mod cluster;
mod controller;
mod finding;

use std::process::ExitCode;

use clap::Args;
use secret_rotation_core::names::Region;

use crate::CommandError;
use crate::app::App;
use crate::aws::{AwsOptions, parse_region};
use crate::ui::output;

pub(crate) use finding::{Finding, Grade};

/// Checks the installation, what you may do in the cluster, and your access to AWS; says what to do.
///
/// Exit status: 0 nothing FAILED; 1 something did.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// The namespace of the controller.
    #[arg(long, value_name = "NAME", default_value = "secret-rotation-system")]
    pub controller_namespace: String,

    /// Also check your own access to AWS in these regions, separated by commas; --profile alone means its own region.
    #[arg(long, value_delimiter = ',', value_name = "REGION", value_parser = parse_region)]
    pub regions: Vec<Region>,

    /// As whom AWS is asked.
    #[command(flatten)]
    pub aws: AwsOptions,
}

/// Makes every check and prints a line for each as soon as it is known.
pub(crate) async fn run(app: &App, args: &DoctorArgs) -> Result<ExitCode, CommandError> {
    let mut worst = Grade::Ok;
    let mut tell = |findings: Vec<Finding>| {
        worst = findings
            .iter()
            .map(|finding| finding.grade)
            .fold(worst, Grade::max);
        let lines: String = findings.iter().map(ToString::to_string).collect();
        output::print(&lines)
    };
    match app.cluster().await {
        Err(failure) => tell(vec![cluster::unreachable(&failure)])?,
        Ok(connected) => {
            let (client, namespace) = (connected.client(), connected.namespace());
            let (reached, now) = cluster::server(client).await;
            let is_reached = reached.grade != Grade::Failed;
            tell(vec![reached])?;
            if is_reached {
                tell(cluster::kinds(client).await)?;
                tell(cluster::admission(client).await)?;
                tell(controller::check(client, &args.controller_namespace, now).await)?;
                tell(caller::check(client, namespace).await)?;
                tell(cluster::profiles(client).await)?;
            }
        }
    }
    tell(aws::check(&args.aws, &args.regions).await)?;
    Ok(match worst {
        Grade::Ok | Grade::Warn => ExitCode::SUCCESS,
        Grade::Failed => ExitCode::FAILURE,
    })
}

//! `put`: stores a new value in one secret, with the credentials of the user.
//!
//! This is the only place of the project that writes a value. The value comes from a file, standard input or a prompt,
//! never from an argument, and is never printed. This process wipes its own copy; copies within the SDK and the TLS
//! library last until the process exits.

mod value;
mod write;

use std::process::ExitCode;
use std::time::Duration;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use secret_rotation_aws::Account;
use secret_rotation_core::names::Region;
use secret_rotation_core::secret::{Secret, Seen};
use secret_rotation_core::time::AwsTime;

use crate::CommandError;
use crate::app::App;
use crate::aws::SecretArg;
use crate::aws::{AwsOptions, Session};
use crate::ui::output;

use value::{Shape, Value};

/// The time after which a rotation function has ended: four steps of at most 15 minutes, and time between them.
const FUNCTION_MAX_RUNTIME: Duration = Duration::from_mins(75);

/// Put a new value into a secret as AWSCURRENT; the value is never printed.
///
/// The value is read from a file, from standard input, or from a prompt without echo; never from an argument, which
/// other users of the machine could see. AWS keeps the previous current version as AWSPREVIOUS. The system that uses
/// the secret, such as a database, does not learn the new value.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct PutArgs {
    /// The secret.
    #[command(flatten)]
    pub place: SecretArg,

    /// File with the value; - or no file is standard input, or a prompt if that is a terminal.
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,

    /// Remove one line break at the end of the value.
    #[arg(long)]
    pub strip_newline: bool,

    /// Store the value as `SecretBinary` even if it is text; a value that is not UTF-8 always is.
    #[arg(long)]
    pub binary: bool,

    /// Write even if a rotation of the secret has not finished; AWS then abandons that rotation.
    #[arg(long)]
    pub force_while_rotating: bool,

    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub yes: bool,

    /// AWS credentials and endpoint.
    #[command(flatten)]
    pub aws: AwsOptions,
}

/// Checks the secret, asks for confirmation and writes.
pub(crate) async fn run(_app: &App, args: &PutArgs) -> Result<ExitCode, CommandError> {
    let file = args.from_file.as_deref();
    let from_file = file.filter(|path| *path != Path::new("-"));
    // A file can be read before anything else is done; standard input and a prompt come after the checks.
    let read = from_file.map(|path| Value::read(Some(path), args.strip_newline));
    let read = read.transpose()?;
    if !args.yes && !io::stdin().is_terminal() {
        return Err(CommandError::usage(
            "cannot ask for confirmation: standard input is not a terminal",
        )
        .with_hint("add --yes to write without confirmation"));
    }
    let session = args.aws.session().await?;
    let region = args.place.region(&session)?;
    let account = session.account(region.clone());
    let secret = writable(args, &session, &account).await?;
    let value = match read {
        Some(value) => value,
        None => Value::read(file, args.strip_newline)?,
    };
    if value.ends_with_line_break() && !args.binary {
        output::note(
            "warning: the value ends with a line break, which is stored too; --strip-newline removes it",
        );
    }
    if !args.yes && !confirm(&secret, &region)? {
        return Err(CommandError::new("nothing was written"));
    }
    // Reading the value and the confirmation can take long: check again what was seen before.
    let now = writable(args, &session, &account).await?;
    reject_if_moved(&secret, &now)?;
    let shape = if args.binary {
        Shape::Binary
    } else {
        value.shape()
    };
    let version = write::put(&session, &region, &secret.arn, &value, shape).await?;
    output::print(&format!(
        "secret/{} updated: version {version} has AWSCURRENT\n",
        secret.name
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the secret as it is now, if it may be written to.
async fn writable(
    args: &PutArgs,
    session: &Session,
    account: &Account,
) -> Result<Box<Secret>, CommandError> {
    let place = &args.place;
    let look = place.look(session, account, false).await?;
    let now = look.at;
    let Seen::Present(secret) = look.secret else {
        return Err(place.absent(account.region()));
    };
    refuse(&secret)?;
    let is_idle = args.force_while_rotating
        || has_failed_without_value(place, session, account, &secret, now).await;
    if !is_idle {
        reject_unfinished(&secret)?;
    }
    Ok(secret)
}

/// Returns whether a first rotation failed before it made a value: then a new value replaces and interrupts nothing.
/// Returns `false` if that cannot be read.
async fn has_failed_without_value(
    place: &SecretArg,
    session: &Session,
    account: &Account,
    secret: &Secret,
    now: AwsTime,
) -> bool {
    let Some(pending) = secret.unfinished().filter(|_| secret.current().is_none()) else {
        return false;
    };
    let has_ended = secret
        .last_changed
        .is_some_and(|changed| now.since(changed) >= FUNCTION_MAX_RUNTIME);
    if !has_ended {
        return false;
    }
    let versions = place.look(session, account, true).await.ok();
    let versions = versions.and_then(|look| look.versions);
    versions.is_some_and(|versions| !versions.lists(pending))
}

/// Rejects a secret that must never be written to.
fn refuse(secret: &Secret) -> Result<(), CommandError> {
    if secret.deleted.is_some() {
        return Err(CommandError::new("the secret is scheduled for deletion")
            .with_hint("cancel the deletion first: aws secretsmanager restore-secret"));
    }
    match secret.foreign_owner() {
        Some(foreign) => Err(CommandError::new(foreign.message())),
        None => Ok(()),
    }
}

/// Rejects a secret with an unfinished rotation.
fn reject_unfinished(secret: &Secret) -> Result<(), CommandError> {
    let Some(pending) = secret.unfinished() else {
        return Ok(());
    };
    let hint = if secret.current().is_none() {
        &format!(
            "it may be in progress, or have a value that the target accepts: check with `kubectl secret-rotation versions {}`; --force-while-rotating writes nevertheless, and AWS abandons the rotation",
            secret.arn
        )
    } else {
        "wait for it, or recover it; --force-while-rotating writes nevertheless, and AWS abandons the rotation"
    };
    Err(CommandError::new(format!(
        "a rotation has not finished: version {pending} has AWSPENDING"
    ))
    .with_hint(hint))
}

/// Rejects a write that would replace a value that appeared since the first look, by `put` or by a rotation.
fn reject_if_moved(before: &Secret, now: &Secret) -> Result<(), CommandError> {
    match now.current() {
        current if current == before.current() => Ok(()),
        Some(current) => Err(CommandError::new(format!(
            "AWSCURRENT moved to version {current} in the meantime: nothing was written"
        ))
        .with_hint("check the new version, and put the value again if it is still needed")),
        None => Err(CommandError::new(
            "AWSCURRENT was removed in the meantime: nothing was written",
        )
        .with_hint("put the value again")),
    }
}

/// Asks for confirmation on the terminal.
fn confirm(secret: &Secret, region: &Region) -> Result<bool, CommandError> {
    if secret.rotates() {
        output::note(
            "Rotation is on. The system that uses the secret does not learn the new value: the next rotation may fail if it expects the old one.",
        );
    }
    write!(
        io::stderr(),
        "Put a new value into {} (account {}, region {region})? It becomes AWSCURRENT immediately. [y/N] ",
        secret.name,
        secret.arn.account()
    )?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| CommandError::new(format!("cannot read the confirmation: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

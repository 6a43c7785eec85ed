//! What an operation expects: from flags, from the policy's status, from operations that have ended, from AWS.

use std::collections::BTreeSet;

use jiff::Timestamp;
use secret_rotation_api::operation::{Action, Expectation, SecretRotationOperation};
use secret_rotation_api::text::Text;
use secret_rotation_api::time::Time;
use secret_rotation_aws::Operation;
use secret_rotation_core::pin::{self, Pin};
use secret_rotation_core::secret::{Secret, Seen};
use secret_rotation_core::survey::State;
use secret_rotation_core::time::AwsTime;

use super::args::{ActionArgs, ExpectArgs};
use super::target::Target;
use crate::CommandError;
use crate::aws::parse_region;
use crate::ui::output;

/// Which version holds what, as far as somebody told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) current: Option<String>,
    pub(super) pending: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) pinned: Option<String>,
    pub(super) deleted: Option<Timestamp>,
}

/// Gathers what the action must name. AWS is asked only for what nobody else knows.
pub(super) async fn gather(
    action: Action,
    args: &ActionArgs,
    target: &Target,
    operations: &[SecretRotationOperation],
) -> Result<Expectation, CommandError> {
    let typed = Known::typed(&args.expect);
    if let Some(flag) = typed.superfluous(action) {
        return Err(CommandError::new(format!(
            "{flag} says nothing about {}",
            action.name()
        )));
    }
    if action == Action::ReleasePins {
        // Which pins nobody needs, only a person can say: the one that is remembered is the newest, which stays.
        if typed.pinned.is_none()
            && let Ok(secret) = look(args, target).await
        {
            offer(&secret);
        }
        return Ok(typed.expectation(action));
    }
    let mut known = typed
        .or(Known::reported(target))
        .or(Known::remembered(target, operations));
    let needed = !known.lacks(action).is_empty();
    // A status does not tell of AWSPENDING on a healthy secret, and an undo must name it.
    if needed || action == Action::RestorePending {
        match look(args, target).await {
            // One look beats spans of different ages; what was typed still comes first.
            Ok(secret) => known = Known::typed(&args.expect).or(Known::seen(&secret)),
            Err(why) if needed => {
                return Err(lacking(action, &known, target, why.message(), why.hint()));
            }
            Err(_) => {}
        }
    }
    let lacks = known.lacks(action);
    if lacks.is_empty() {
        return Ok(known.expectation(action));
    }
    let names: Vec<_> = lacks.iter().map(|(what, _)| *what).collect();
    Err(CommandError::new(format!(
        "{} in {} has no {}: {} cannot apply to it",
        target.secret,
        target.region,
        names.join(", and no "),
        action.name()
    )))
}

/// Tells which versions carry pins that a person may release at any time.
fn offer(secret: &Secret) {
    if let Some(text) = offered(secret) {
        output::note(&text);
    }
}

fn offered(secret: &Secret) -> Option<String> {
    // Each cluster keeps the newest of its own pins, and which of them this cluster is, it alone knows.
    let is_newest = |pin: &Pin| {
        let mut alike = pin::on(secret).filter(|(_, _, other)| other.cluster == pin.cluster);
        alike.all(|(_, _, other)| other.minute <= pin.minute)
    };
    let versions = |newest: bool| {
        let pins = pin::on(secret).filter(|(_, _, pin)| is_newest(pin) == newest);
        let versions: BTreeSet<_> = pins.map(|(version, _, _)| version.as_str()).collect();
        versions.into_iter().collect::<Vec<_>>().join(", ")
    };
    let (newest, older) = (versions(true), versions(false));
    if newest.is_empty() {
        return None;
    }
    let stays = format!(
        "the newest pin, on {newest}, undoes the last clear and stays until a rotation succeeds"
    );
    Some(if older.is_empty() {
        format!("No older pin can be released: {stays}.")
    } else {
        format!(
            "Older pins are on {older}: name one of these versions with --pinned-version to release them now; {stays}."
        )
    })
}

/// Looks at the secret with the credentials of the person who types.
async fn look(args: &ActionArgs, target: &Target) -> Result<Secret, CommandError> {
    let session = args.aws.session().await?;
    let region = parse_region(&target.region).map_err(CommandError::usage)?;
    let account = session.account(region);
    let look = account.look(&target.secret, false).await.map_err(|error| {
        let problem = session.problem(&error, &[Operation::DescribeSecret], account.region());
        CommandError::from(problem)
    })?;
    match look.secret {
        Seen::Present(secret) => Ok(*secret),
        Seen::Absent => Err(CommandError::new(format!(
            "AWS has no secret {} in {}",
            target.secret, target.region
        ))
        .with_hint("choose another region with --region")),
    }
}

fn lacking(
    action: Action,
    known: &Known,
    target: &Target,
    why: &str,
    advice: Option<&str>,
) -> CommandError {
    let lacks = known.lacks(action);
    let what: Vec<_> = lacks.iter().map(|(what, _)| *what).collect();
    let flags: Vec<_> = lacks.iter().map(|(_, flag)| *flag).collect();
    CommandError::new(format!(
        "neither the status of the policy nor AWS tells of {} in {}: {} ({why})",
        target.secret,
        target.region,
        what.join(", ")
    ))
    .with_hint(format!(
        "{}; or name it yourself with {}",
        advice.unwrap_or("provide AWS credentials that may describe the secret"),
        flags.join(" ")
    ))
}

impl Known {
    fn typed(args: &ExpectArgs) -> Self {
        Self {
            current: args.current_version.clone(),
            pending: args.pending_version.clone(),
            previous: args.previous_version.clone(),
            pinned: args.pinned_version.clone(),
            deleted: args.deleted_time,
        }
    }

    fn reported(target: &Target) -> Self {
        let Some(finding) = &target.finding else {
            return Self::default();
        };
        Self {
            current: finding.current_version_id.as_ref().map(ToString::to_string),
            pending: finding.pending_version_id.as_ref().map(ToString::to_string),
            // Since its DeletedDate a secret is scheduled for deletion.
            deleted: finding
                .since
                .as_ref()
                .filter(|_| finding.state.as_str() == State::ScheduledForDeletion.name())
                .and_then(Time::timestamp),
            ..Self::default()
        }
    }

    /// The pin that the newest operation left behind. Whether it is still there, the controller looks.
    fn remembered(target: &Target, operations: &[SecretRotationOperation]) -> Self {
        let place = (target.secret.clone(), target.region.clone());
        let newest = operations
            .iter()
            .filter(|one| one.secret_and_region().as_ref() == Some(&place))
            .filter_map(|one| {
                Some((
                    one.metadata.creation_timestamp.clone(),
                    one.status.as_ref()?.after.as_ref()?,
                ))
            })
            .max_by_key(|(created, _)| created.clone());
        let pinned = newest.and_then(|(_, after)| {
            let mut versions = after.iter();
            versions.find(|(_, labels)| labels.iter().any(|label| label.starts_with(pin::PREFIX)))
        });
        Self {
            pinned: pinned.map(|(version, _)| version.clone()),
            ..Self::default()
        }
    }

    pub(super) fn seen(secret: &Secret) -> Self {
        let text = |version: Option<&secret_rotation_core::names::VersionId>| {
            version.map(|version| version.as_str().to_owned())
        };
        // Several pins of one secret: the newest is the one to undo.
        let newest = pin::on(secret).max_by_key(|(_, _, pin)| pin.minute);
        Self {
            current: text(secret.current()),
            pending: text(secret.pending()),
            previous: text(secret.previous()),
            pinned: text(newest.map(|(version, _, _)| version)),
            deleted: secret.deleted.map(AwsTime::timestamp),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            current: self.current.or(other.current),
            pending: self.pending.or(other.pending),
            previous: self.previous.or(other.previous),
            pinned: self.pinned.or(other.pinned),
            deleted: self.deleted.or(other.deleted),
        }
    }

    /// What the action must name and nobody told, and with which flag to say it.
    fn lacks(&self, action: Action) -> Vec<(&'static str, &'static str)> {
        let current = (
            "version with AWSCURRENT",
            "--current-version ID",
            self.current.is_none(),
        );
        let pending = (
            "version with AWSPENDING",
            "--pending-version ID",
            self.pending.is_none(),
        );
        let previous = (
            "version with AWSPREVIOUS",
            "--previous-version ID",
            self.previous.is_none(),
        );
        let pinned = (
            "pinned version",
            "--pinned-version ID",
            self.pinned.is_none(),
        );
        let deleted = (
            "scheduled deletion",
            "--deleted-time TIME",
            self.deleted.is_none(),
        );
        let needed = match action {
            Action::Rotate => vec![current],
            Action::RetryRotation | Action::ClearPending | Action::ClearAndRotate => vec![pending],
            Action::PromotePending => vec![pending, current],
            Action::RestorePending => vec![pinned],
            Action::RevertToPrevious => vec![current, previous],
            Action::RestoreSecret => vec![deleted],
            Action::ReleasePins => vec![],
        };
        let lacking = needed.into_iter().filter(|(_, _, lacks)| *lacks);
        lacking.map(|(what, flag, _)| (what, flag)).collect()
    }

    /// The flag of something that the action does not name.
    fn superfluous(&self, action: Action) -> Option<&'static str> {
        let named = self.expectation(action);
        let flags = [
            (
                "--current-version",
                self.current.is_some() && named.current_version_id.is_none(),
            ),
            (
                "--pending-version",
                self.pending.is_some() && named.pending_version_id.is_none(),
            ),
            (
                "--previous-version",
                self.previous.is_some() && named.previous_version_id.is_none(),
            ),
            (
                "--pinned-version",
                self.pinned.is_some() && named.pinned_version_id.is_none(),
            ),
            (
                "--deleted-time",
                self.deleted.is_some() && named.deleted_time.is_none(),
            ),
        ];
        flags
            .into_iter()
            .find(|(_, idle)| *idle)
            .map(|(flag, _)| flag)
    }

    /// As the operation says it: what the action is about, and all that would make it another situation.
    fn expectation(&self, action: Action) -> Expectation {
        let text = |version: &Option<String>| version.clone().map(Text::<1, 64>::from);
        let deletion = action == Action::RestoreSecret;
        let release = action == Action::ReleasePins;
        // Around a rotation at rest AWSPENDING is nowhere, or where AWSCURRENT is: nothing to hold on to.
        let rest = matches!(action, Action::Rotate | Action::RevertToPrevious);
        Expectation {
            current_version_id: text(&self.current).filter(|_| !deletion && !release),
            pending_version_id: text(&self.pending).filter(|_| !deletion && !rest && !release),
            previous_version_id: text(&self.previous)
                .filter(|_| action == Action::RevertToPrevious),
            pinned_version_id: text(&self.pinned)
                .filter(|_| release || action == Action::RestorePending),
            deleted_time: self
                .deleted
                .filter(|_| deletion)
                .map(|time| Time::exact(AwsTime::new(time))),
        }
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::names::{Arn, SecretName, StageLabel, VersionId};
    use secret_rotation_core::secret::{LabelMap, Rotation};

    use super::*;

    fn secret(labels: LabelMap) -> Secret {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbCdEf";
        Secret {
            arn: Arn::parse(arn).expect("an ARN"),
            name: SecretName::parse("prod/db").expect("a name"),
            labels,
            rotation: Rotation::NotConfigured,
            last_changed: None,
            last_rotated: None,
            next_rotation: None,
            created: None,
            deleted: None,
            owning_service: None,
            external_type: None,
            primary_region: None,
            tags: std::collections::BTreeMap::new(),
            replicas: std::collections::BTreeMap::new(),
        }
    }

    fn known() -> Known {
        let text = |text: &str| Some(text.to_owned());
        Known {
            current: text("c"),
            pending: text("p"),
            previous: text("v"),
            pinned: text("n"),
            deleted: "2026-11-23T10:00:00Z".parse().ok(),
        }
    }

    fn expected(action: Action) -> [Option<String>; 5] {
        let expect = known().expectation(action);
        let text = |version: Option<Text<1, 64>>| version.map(|version| version.to_string());
        [
            text(expect.current_version_id),
            text(expect.pending_version_id),
            text(expect.previous_version_id),
            text(expect.pinned_version_id),
            expect.deleted_time.map(|time| time.to_string()),
        ]
    }

    #[test]
    fn each_action_names_what_it_is_about() {
        let some = |text: &str| Some(text.to_owned());
        for action in [
            Action::RetryRotation,
            Action::ClearPending,
            Action::ClearAndRotate,
            Action::PromotePending,
        ] {
            assert_eq!(expected(action), [some("c"), some("p"), None, None, None]);
        }
        assert_eq!(
            expected(Action::Rotate),
            [some("c"), None, None, None, None]
        );
        assert_eq!(
            expected(Action::RevertToPrevious),
            [some("c"), None, some("v"), None, None]
        );
        assert_eq!(
            expected(Action::RestorePending),
            [some("c"), some("p"), None, some("n"), None]
        );
        assert_eq!(
            expected(Action::RestoreSecret),
            [None, None, None, None, some("2026-11-23T10:00:00Z")]
        );
        assert_eq!(
            expected(Action::ReleasePins),
            [None, None, None, some("n"), None]
        );
    }

    #[test]
    fn only_older_pins_are_offered_for_release() {
        let pinned = |pins: &[(&str, &str)]| {
            let labels = pins.iter().map(|(version, minute)| {
                let label = StageLabel::parse(format!("{}0d7c9b-{minute}-{version}", pin::PREFIX));
                let version = VersionId::parse(*version).expect("an id");
                (version, [label.expect("a label")].into())
            });
            offered(&secret(labels.collect()))
        };
        assert_eq!(pinned(&[]), None);
        let one = pinned(&[("v7", "7")]).expect("an offer");
        assert!(one.starts_with("No older pin can be released"), "{one}");
        let three = pinned(&[("v7", "7"), ("v9", "9"), ("v8", "8")]).expect("an offer");
        assert!(three.starts_with("Older pins are on v7, v8:"), "{three}");
        assert!(three.contains("the newest pin, on v9,"), "{three}");
    }

    #[test]
    fn what_is_lacking_names_the_flag_that_says_it() {
        let nothing = Known::default();
        assert_eq!(nothing.lacks(Action::ReleasePins), []);
        assert_eq!(
            nothing.lacks(Action::RevertToPrevious),
            [
                ("version with AWSCURRENT", "--current-version ID"),
                ("version with AWSPREVIOUS", "--previous-version ID"),
            ]
        );
        assert_eq!(known().lacks(Action::PromotePending), []);
    }

    #[test]
    fn a_flag_that_the_action_does_not_name_is_refused() {
        let pinned = Known {
            pinned: Some("n".to_owned()),
            ..Known::default()
        };
        assert_eq!(pinned.superfluous(Action::RestorePending), None);
        assert_eq!(pinned.superfluous(Action::ReleasePins), None);
        assert_eq!(pinned.superfluous(Action::Rotate), Some("--pinned-version"));
    }
}

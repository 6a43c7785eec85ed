//! The preconditions of an operation: what must be true of the secret, so that the action applies to what the user saw.
//!
//! They come from flags, from the status of the policy, from earlier operations and, where these do not suffice, from
//! AWS.

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

/// One fact that an operation can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Current,
    Pending,
    Previous,
    Pinned,
    Deleted,
}

impl Fact {
    const ALL: [Self; 5] = [
        Self::Current,
        Self::Pending,
        Self::Previous,
        Self::Pinned,
        Self::Deleted,
    ];

    /// Returns what the fact is about.
    const fn name(self) -> &'static str {
        match self {
            Self::Current => "version with AWSCURRENT",
            Self::Pending => "version with AWSPENDING",
            Self::Previous => "version with AWSPREVIOUS",
            Self::Pinned => "pinned version",
            Self::Deleted => "scheduled deletion",
        }
    }

    /// Returns the flag that states it, with its value.
    const fn flag(self) -> (&'static str, &'static str) {
        match self {
            Self::Current => ("--current-version", "ID"),
            Self::Pending => ("--pending-version", "ID"),
            Self::Previous => ("--previous-version", "ID"),
            Self::Pinned => ("--pinned-version", "ID"),
            Self::Deleted => ("--deleted-time", "TIME"),
        }
    }
}

/// What an operation of one action expects.
struct Expects {
    /// The facts that it states if they are known.
    states: &'static [Fact],
    /// Those of them that it cannot do without.
    needs: &'static [Fact],
}

/// Returns the facts of an action: what it is about, and everything whose change would make it another situation.
const fn expects(action: Action) -> Expects {
    use Fact::{Current, Deleted, Pending, Pinned, Previous};
    let (states, needs): (&[_], &[_]) = match action {
        // Between rotations AWSPENDING is on no version or on the current one: there is nothing to state.
        Action::Rotate => (&[Current], &[Current]),
        Action::RetryRotation | Action::ClearPending | Action::ClearAndRotate => {
            (&[Current, Pending], &[Pending])
        }
        Action::PromotePending => (&[Current, Pending], &[Pending, Current]),
        Action::RestorePending => (&[Current, Pending, Pinned], &[Pinned]),
        Action::RevertToPrevious => (&[Current, Previous], &[Current, Previous]),
        Action::RestoreSecret => (&[Deleted], &[Deleted]),
        Action::ReleasePins => (&[Pinned], &[]),
    };
    Expects { states, needs }
}

/// The facts that are known about a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    current: Option<String>,
    pending: Option<String>,
    previous: Option<String>,
    pinned: Option<String>,
    deleted: Option<Timestamp>,
}

/// Gathers what the operation expects. Asks AWS only for what neither flags nor the cluster know.
///
/// # Errors
///
/// Returns an error if a flag does not apply to the action, or if a fact that the action needs is unknown.
pub(super) async fn gather(
    action: Action,
    args: &ActionArgs,
    target: &Target,
    operations: &[SecretRotationOperation],
) -> Result<Expectation, CommandError> {
    let typed = Known::typed(&args.expect);
    if let Some((flag, _)) = typed.superfluous(action).map(Fact::flag) {
        return Err(CommandError::new(format!(
            "{flag} does not apply to {}",
            action.name()
        )));
    }
    if action == Action::ReleasePins {
        // The pin that is known without AWS is the newest, which stays. Which of the others is no longer needed, only a
        // person can decide: list them.
        if typed.pinned.is_none()
            && let Ok(secret) = look(args, target).await
            && let Some(text) = older_pins(&secret)
        {
            output::note(&text);
        }
        return Ok(typed.expectation(action));
    }
    let mut known = typed
        .or(Known::reported(target))
        .or(Known::remembered(target, operations));
    let is_needed = !known.missing(action).is_empty();
    // A status does not report AWSPENDING on a healthy secret, and an undo must state it.
    if is_needed || action == Action::RestorePending {
        match look(args, target).await {
            // Facts of one look fit together, facts of different ages may not. What was typed still comes first.
            Ok(secret) => known = Known::typed(&args.expect).or(Known::seen(&secret)),
            Err(why) if is_needed => return Err(unknown(action, &known, target, &why)),
            Err(_) => {}
        }
    }
    let missing = known.missing(action);
    if missing.is_empty() {
        return Ok(known.expectation(action));
    }
    let names: Vec<_> = missing.into_iter().map(Fact::name).collect();
    Err(CommandError::new(format!(
        "{} in {} has no {}: {} does not apply to it",
        target.secret,
        target.region,
        names.join(", and no "),
        action.name()
    ))
    .with_hint(format!(
        "`kubectl secret-rotation versions {} --region {}` lists the versions with their labels and pins",
        target.secret, target.region
    )))
}

/// Describes which versions have pins that can be released now; `None` if there are no pins.
fn older_pins(secret: &Secret) -> Option<String> {
    // Each cluster keeps the newest of its own pins. Which cluster this one is, only its controller knows.
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
            "Older pins are on {older}: to release them now, name one of these versions with --pinned-version; {stays}."
        )
    })
}

/// Reads the secret with the credentials of the user.
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
            "no secret {} exists in {}",
            target.secret, target.region
        ))
        .with_hint("select another region with --region")),
    }
}

fn unknown(action: Action, known: &Known, target: &Target, why: &CommandError) -> CommandError {
    let missing = known.missing(action);
    let names: Vec<_> = missing.iter().map(|fact| fact.name()).collect();
    let flags = missing.iter().map(|fact| {
        let (flag, value) = fact.flag();
        format!("{flag} {value}")
    });
    let flags: Vec<_> = flags.collect();
    CommandError::new(format!(
        "the {} of {} in {} is unknown: the status of the policy does not report it, and AWS did not provide it ({})",
        names.join(" and the "),
        target.secret,
        target.region,
        why.message()
    ))
    .with_hint(format!(
        "{}; or state it with {}",
        why.hint()
            .unwrap_or("provide AWS credentials that may describe the secret"),
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

    /// Returns the pin that the newest operation left. The controller checks whether it still exists.
    fn remembered(target: &Target, operations: &[SecretRotationOperation]) -> Self {
        let secret = (target.secret.clone(), target.region.clone());
        let newest = operations
            .iter()
            .filter(|one| one.secret_and_region().as_ref() == Some(&secret))
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

    fn seen(secret: &Secret) -> Self {
        let text = |version: Option<&secret_rotation_core::names::VersionId>| {
            version.map(|version| version.as_str().to_owned())
        };
        // Of several pins the newest is the one to undo.
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

    const fn has(&self, fact: Fact) -> bool {
        match fact {
            Fact::Current => self.current.is_some(),
            Fact::Pending => self.pending.is_some(),
            Fact::Previous => self.previous.is_some(),
            Fact::Pinned => self.pinned.is_some(),
            Fact::Deleted => self.deleted.is_some(),
        }
    }

    /// Returns the facts that the action needs and that are unknown.
    fn missing(&self, action: Action) -> Vec<Fact> {
        let needs = expects(action).needs.iter().copied();
        needs.filter(|fact| !self.has(*fact)).collect()
    }

    /// Returns a known fact that the action does not state.
    fn superfluous(&self, action: Action) -> Option<Fact> {
        let states = expects(action).states;
        let mut known = Fact::ALL.into_iter().filter(|fact| self.has(*fact));
        known.find(|fact| !states.contains(fact))
    }

    /// Returns the facts as the operation states them.
    fn expectation(&self, action: Action) -> Expectation {
        let states = |fact| expects(action).states.contains(&fact);
        let version = |version: &Option<String>, fact| {
            let version = version.clone().filter(|_| states(fact));
            version.map(Text::<1, 64>::from)
        };
        let deleted = self.deleted.filter(|_| states(Fact::Deleted));
        Expectation {
            current_version_id: version(&self.current, Fact::Current),
            pending_version_id: version(&self.pending, Fact::Pending),
            previous_version_id: version(&self.previous, Fact::Previous),
            pinned_version_id: version(&self.pinned, Fact::Pinned),
            deleted_time: deleted.map(|time| Time::exact(AwsTime::new(time))),
        }
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{bare_secret, stage_label, version};
    use secret_rotation_core::secret::LabelMap;

    use super::*;

    fn secret(labels: LabelMap) -> Secret {
        Secret {
            labels,
            ..bare_secret("prod/db")
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
    fn each_action_states_its_own_facts() {
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
            let labels = pins.iter().map(|(on, minute)| {
                let label = format!("{}0d7c9b-{minute}-{on}", pin::PREFIX);
                (version(on), [stage_label(&label)].into())
            });
            older_pins(&secret(labels.collect()))
        };
        assert_eq!(pinned(&[]), None);
        let one = pinned(&[("v7", "7")]).expect("an offer");
        assert!(one.starts_with("No older pin can be released"), "{one}");
        let three = pinned(&[("v7", "7"), ("v9", "9"), ("v8", "8")]).expect("an offer");
        assert!(three.starts_with("Older pins are on v7, v8:"), "{three}");
        assert!(three.contains("the newest pin, on v9,"), "{three}");
    }

    #[test]
    fn a_missing_fact_has_the_flag_that_states_it() {
        let nothing = Known::default();
        assert_eq!(nothing.missing(Action::ReleasePins), []);
        assert_eq!(
            nothing.missing(Action::RevertToPrevious),
            [Fact::Current, Fact::Previous]
        );
        assert_eq!(
            [Fact::Current, Fact::Previous].map(|fact| (fact.name(), fact.flag().0)),
            [
                ("version with AWSCURRENT", "--current-version"),
                ("version with AWSPREVIOUS", "--previous-version"),
            ]
        );
        assert_eq!(known().missing(Action::PromotePending), []);
    }

    #[test]
    fn a_flag_that_does_not_apply_to_the_action_is_refused() {
        let pinned = Known {
            pinned: Some("n".to_owned()),
            ..Known::default()
        };
        assert_eq!(pinned.superfluous(Action::RestorePending), None);
        assert_eq!(pinned.superfluous(Action::ReleasePins), None);
        assert_eq!(pinned.superfluous(Action::Rotate), Some(Fact::Pinned));
    }
}

//! Complete operations against a faulty AWS: whatever fails, they end where a run without faults could have ended.

use std::collections::BTreeMap;
use std::time::Duration;

use fixtures::{
    cluster, hours, labelled, now, operation, secret, stuck, version, with_value, without_value,
};
use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::names::StageLabel;
use secret_rotation_core::operation::Outcome;
use secret_rotation_core::secret::LabelMap;

use crate::support::shell::{Fault, Shell};
use crate::support::world::{EmptyVersions, Function, TinyAws};

const STEPS: usize = 1500;

#[derive(Clone, Debug)]
struct Weather {
    action: Action,
    valued: bool,
    empty_versions: EmptyVersions,
    function: Function,
    faults: BTreeMap<(Step, u32), Fault>,
    /// Lag of reads at each step, in seconds. The list repeats.
    lags: Vec<u64>,
    /// Extra time before each step, in seconds. The list repeats.
    delays: Vec<u64>,
}

fn faults() -> BoxedStrategy<BTreeMap<(Step, u32), Fault>> {
    let late = (1..40_u64).prop_map(|seconds| Fault::Late(Duration::from_secs(seconds)));
    let kinds = vec![
        Fault::LostRequest,
        Fault::LostReply,
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::Duplicate,
        Fault::Refused(ErrorClass::Throttled),
    ];
    let fault = prop_oneof![6 => select(kinds), 1 => late];
    let place = (select(Step::ALL.to_vec()), 1..4_u32);
    proptest::collection::btree_map(place, fault, 0..6).boxed()
}

fn weather() -> impl Strategy<Value = Weather> {
    let actions = vec![
        Action::ClearAndRotate,
        Action::ClearPending,
        Action::RetryRotation,
        Action::Rotate,
    ];
    let functions = vec![
        Function::Rotates,
        Function::Rotates,
        Function::DiesEmpty,
        Function::DiesLive,
        Function::Hangs,
    ];
    let empties = vec![
        EmptyVersions::CanBeLabelled,
        EmptyVersions::CannotBeLabelled,
    ];
    let lags = proptest::collection::vec(prop_oneof![3 => Just(0), 1 => 0..30_u64], 1..7);
    let delays = proptest::collection::vec(
        prop_oneof![4 => Just(0), 1 => 0..200_u64, 1 => Just(7200)],
        1..7,
    );
    (
        select(actions),
        any::<bool>(),
        select(empties),
        select(functions),
        faults(),
        lags,
        delays,
    )
        .prop_map(
            |(action, valued, empty_versions, function, faults, lags, delays)| Weather {
                action,
                valued,
                empty_versions,
                function,
                faults,
                lags,
                delays,
            },
        )
}

fn start(weather: &Weather) -> Shell {
    let mut world = match (weather.action, weather.valued) {
        (Action::Rotate, _) => TinyAws::new(secret("prod/a"), without_value(), now()),
        (_, true) => TinyAws::new(stuck("prod/a"), with_value(), now()),
        (_, false) => TinyAws::new(stuck("prod/a"), without_value(), now()),
    };
    if weather.valued && weather.action != Action::Rotate {
        world.live = version("p");
    }
    world.function = weather.function;
    world.empty_versions = weather.empty_versions;
    Shell::new(world, operation("o", weather.action, "prod/a"))
}

/// Runs the operation to its end and checks the live password at every step.
fn driven(weather: &Weather) -> Shell {
    let mut shell = start(weather);
    shell.faults.clone_from(&weather.faults);
    for step in 0..STEPS {
        if shell.operation.is_finished() {
            break;
        }
        shell.pass(Duration::from_secs(
            weather.delays[step % weather.delays.len()],
        ));
        shell.world.lag = Duration::from_secs(weather.lags[step % weather.lags.len()]);
        shell.step();
        assert!(
            shell.world.is_live_version_labelled(),
            "orphaned: {}",
            shell.story()
        );
    }
    shell.world.lag = Duration::ZERO;
    assert!(
        shell.operation.is_finished(),
        "it never ends: {}",
        shell.story()
    );
    shell.pass(hours(1));
    assert!(
        shell.world.is_live_version_labelled(),
        "orphaned late: {}",
        shell.story()
    );
    shell
}

fn without(mut labels: LabelMap, label: &StageLabel) -> LabelMap {
    for held in labels.values_mut() {
        held.remove(label);
    }
    labels.retain(|_, held| !held.is_empty());
    labels
}

/// The labels with which runs without lost messages can end: a permission may be withdrawn at any step, with the pin or
/// without.
fn reachable(weather: &Weather) -> Vec<LabelMap> {
    let calm = Weather {
        faults: BTreeMap::new(),
        lags: vec![0],
        delays: vec![0],
        ..weather.clone()
    };
    let mut shell = start(&calm);
    let mut ends = vec![shell.world.secret.labels.clone()];
    while !shell.operation.is_finished() {
        shell.step();
        let mut later = shell.clone();
        later.pass(hours(1));
        ends.extend([shell.world.secret.labels.clone(), later.world.secret.labels]);
    }
    let pin = shell
        .operation
        .pin(&cluster(), &version("p"))
        .label()
        .expect("short");
    let pinned = labelled(stuck("prod/a"), pin.as_str(), "p").labels;
    let cleared = without(pinned.clone(), &StageLabel::pending());
    ends.extend([pinned, cleared]);
    if weather.action == Action::RetryRotation {
        ends.push(rotated_again(&shell));
    }
    ends.dedup();
    ends
}

/// The version to retry became current just before the request arrived, which then started one more rotation.
fn rotated_again(shell: &Shell) -> LabelMap {
    let token = shell.operation.request_token().expect("derived");
    let mut bare = secret("prod/a");
    bare.labels.clear();
    let current = labelled(bare, "AWSCURRENT", token.as_str());
    labelled(current, "AWSPREVIOUS", "p").labels
}

fn without_late(weather: &Weather) -> bool {
    let late = weather
        .faults
        .values()
        .any(|fault| matches!(fault, Fault::Late(_)));
    !late
        && weather.lags.iter().all(|lag| *lag == 0)
        && weather.delays.iter().all(|delay| *delay == 0)
}

proptest! {
    #![proptest_config(crate::support::cases(500))]

    #[test]
    fn the_live_password_stays_labelled_and_every_operation_ends(weather in weather()) {
        driven(&weather);
    }

    #[test]
    fn no_operation_starts_two_rotations(weather in weather()) {
        let done = driven(&weather);
        prop_assert!(done.world.accepted.len() <= 1, "{}", done.story());
    }

    #[test]
    fn a_run_with_faults_ends_where_a_run_without_faults_could_end(weather in weather()) {
        let done = driven(&weather);
        let ends = reachable(&weather);
        let labels = &done.world.secret.labels;
        prop_assert!(ends.contains(labels), "{}: {labels:?} is none of {ends:#?}", done.story());
    }

    #[test]
    fn transient_faults_do_not_change_the_result(weather in weather().prop_filter("prompt", without_late)) {
        let calm = driven(&Weather { faults: BTreeMap::new(), ..weather.clone() });
        let done = driven(&weather);
        let fate = |shell: &Shell| matches!(shell.operation.outcome, Some(Outcome::Succeeded { .. }));
        prop_assert_eq!(fate(&done), fate(&calm), "{} but {}", done.story(), calm.story());
        prop_assert_eq!(&done.world.secret.labels, &calm.world.secret.labels, "{}", done.story());
    }

    #[test]
    fn reads_that_lag_fail_no_operation(weather in weather()) {
        let lagging = Weather { faults: BTreeMap::new(), delays: vec![0], function: Function::Rotates, ..weather };
        let done = driven(&lagging);
        prop_assert!(done.story().ends_with("Succeeded"), "{}", done.story());
    }
}

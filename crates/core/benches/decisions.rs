//! Single steps of the engine, a plan, and one step of an operation.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fixtures::{
    REGION, bound_policy, cluster, hours, look, now, observation, operation, operation_index,
    policy, policy_index, profile, region, secret, server, stuck, survey, tenant, with_value,
    without_value,
};
use secret_rotation_core::action::Action;
use secret_rotation_core::advance::{Gate, StepInput, advance};
use secret_rotation_core::authorise::authorise;
use secret_rotation_core::consent::consent_if_enforced;
use secret_rotation_core::engine::{self, Ended, Engine, Facts};
use secret_rotation_core::history::History;
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{DeferredOperations, PlanInput, RegionGates};
use secret_rotation_core::planner::plan;
use secret_rotation_core::secret::{Secret, Seen};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::PreviousFindings;

/// Returns 2,000 secrets, of which 40 are stuck.
fn account() -> Vec<Observation> {
    let one = |number: usize| {
        let name = format!("prod/{number:04}");
        match number % 50 {
            0 => observation(stuck(&name), Some(with_value())),
            _ => Observation::listed(secret(&name)),
        }
    };
    (0..2_000).map(one).collect()
}

/// Takes entries of a list as a whole sweep of a policy.
fn sweep(engine: &mut Engine, policy: &BoundPolicy, listed: &[Secret], facts: Facts<'_>) {
    let read = engine.begin(&[policy.policy.uid.clone()].into(), true);
    engine.note_time(&read, now());
    for secret in listed {
        engine.listed(&read, secret, facts);
    }
    engine.end(&read, &Ended::default());
}

fn engines(criterion: &mut Criterion) {
    let (operations, stability) = (operation_index(&[]), StabilityTracker::default());
    let facts = Facts {
        operations: &operations,
        stability: &stability,
    };
    let secrets: Vec<_> = (0..2_000)
        .map(|number| secret(&format!("prod/{number:04}")))
        .collect();
    let own = Arc::new(bound_policy(policy("payments")));
    let mut other = BoundPolicy::clone(&own);
    other.policy.detection.stuck_after = hours(7);
    let other = Arc::new(other);
    let memory = PreviousFindings::default();
    let mut engine = Engine::new(region(REGION));
    engine.set_policy(&own, &memory, facts);
    criterion.bench_function(
        "observe 2000 healthy secrets for the first time",
        |bencher| {
            bencher.iter_batched_ref(
                || {
                    let mut engine = Engine::new(region(REGION));
                    engine.set_policy(&own, &memory, facts);
                    engine
                },
                |engine| sweep(engine, &own, &secrets, facts),
                BatchSize::LargeInput,
            );
        },
    );
    sweep(&mut engine, &own, &secrets, facts);
    criterion.bench_function("observe 2000 unchanged secrets", |bencher| {
        bencher.iter(|| sweep(&mut engine, &own, &secrets, facts));
    });
    criterion.bench_function(
        "assess 2000 secrets for a policy that has changed",
        |bencher| {
            let mut turn = [&own, &other].into_iter().cycle();
            bencher.iter(|| engine.set_policy(turn.next().expect("endless"), &memory, facts));
        },
    );
    engine.set_policy(&own, &memory, facts);
    criterion.bench_function("survey of 2000 healthy secrets", |bencher| {
        bencher.iter(|| black_box(engine::survey(&own, &[&engine], &memory, facts)));
    });
}

fn judge(criterion: &mut Criterion) {
    let (own, account) = (bound_policy(policy("payments")), account());
    criterion.bench_function("judge 2000 secrets from scratch, 40 stuck", |bencher| {
        bencher.iter_batched(
            || account.clone(),
            |account| black_box(survey(&own, account)),
            BatchSize::LargeInput,
        );
    });
}

fn plans(criterion: &mut Criterion) {
    let own = bound_policy(policy("payments"));
    let survey = survey(&own, account());
    let input = PlanInput {
        own: &own,
        bound_policies: &policy_index(std::slice::from_ref(&own)),
        operations: &operation_index(&[]),
        region_gates: &RegionGates::default(),
        stability: &StabilityTracker::default(),
        deferred: &DeferredOperations::default(),
        cluster: &cluster(),
        now: now(),
    };
    criterion.bench_function("plan for 40 stuck secrets", |bencher| {
        bencher.iter(|| black_box(plan(&survey, &input)));
    });
}

fn advances(criterion: &mut Criterion) {
    let own = policy("payments");
    let seen = look(stuck("prod/a"), Some(without_value()), now());
    let Seen::Present(secret) = &seen.secret else {
        unreachable!("a look at a secret sees it");
    };
    let operation = operation("o", Action::ClearAndRotate, "prod/a");
    let all = [operation.clone()];
    criterion.bench_function("next step of an operation", |bencher| {
        bencher.iter(|| {
            let profile = profile();
            let input = StepInput {
                look: &seen,
                policy: Some(&own),
                authority: authorise(&tenant("prod"), &profile, &own, secret, operation.action),
                consent: consent_if_enforced(&operation, &own, &profile),
                server_now: server(now()),
                gate: Gate::Open,
                history: History::of(&secret.arn, &all).trusting(&profile, [&tenant("prod")]),
                cluster: &cluster(),
                unchanged_since: None,
            };
            black_box(advance(&operation, &input))
        });
    });
}

criterion_group!(benches, engines, judge, plans, advances);
criterion_main!(benches);

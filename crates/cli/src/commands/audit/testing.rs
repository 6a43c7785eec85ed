//! Reports to render in tests, computed by core from what AWS could have returned.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fixtures::{
    arn, aws_error, bare_secret, hours, now, observation, region, secret_name, stage_label,
};
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::engine::{Ended, Engine, SharedEngine as _};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::secret::{LabelMap, Rotation, RotationRules, Secret, VersionListing};
use secret_rotation_core::time::AwsTime;

use super::{Report, evaluate};
use crate::aws::{Criteria, OwnEngine, Problem, RegionSweep};

const CURRENT: &str = "6f1c0000-0000-4000-8000-000000000001";
const PENDING: &str = "0a2e0000-0000-4000-8000-000000000002";

/// Returns a report with most kinds of findings, and a region that could not be read.
pub(super) fn report() -> Report {
    let mut well = observed(estate());
    well.push(unreadable("payments/denied"));
    report_of(&[swept("eu-west-1", now(), &well, None), torn("us-east-1")])
}

/// Returns a report without a finding.
pub(super) fn healthy() -> Report {
    let seen = observed(vec![secret("a"), secret("b")]);
    report_of(&[swept("eu-west-1", now(), &seen, None)])
}

/// Returns a report of an audit without credentials.
pub(super) fn nothing_read() -> Report {
    report_of(&[torn("eu-west-1")])
}

/// Compares with `tests/golden/NAME`, or writes the file if `UPDATE_GOLDEN` is set.
pub(super) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("the golden file can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, kept,
        "{name}: run with UPDATE_GOLDEN=1 and look at the difference"
    );
}

fn report_of(sweeps: &[RegionSweep]) -> Report {
    let regions = sweeps.iter().map(|one| one.region.clone());
    let criteria = Criteria::everything(regions.collect()).expect("a criteria");
    let survey = evaluate(&criteria, sweeps);
    Report::of(&criteria, sweeps, &survey)
}

/// Returns a region as a sweep leaves it.
fn swept(name: &str, time: AwsTime, seen: &[Observation], gap: Option<&AwsError>) -> RegionSweep {
    let region = region(name);
    let criteria = Criteria::everything(vec![region.clone()]).expect("a criteria");
    let engine = OwnEngine::of(Engine::new(region.clone()), &criteria);
    let policies = [criteria.policy.uid.clone()].into();
    let read = engine.with(|sights| sights.engine.begin(&policies, true));
    engine.with(|sights| {
        sights.engine.note_time(&read, time);
        for one in seen {
            sights.take(&read, one);
        }
        sights.engine.end(&read, &Ended { gap: gap.cloned() });
    });
    let explain = |error: &AwsError| Problem::of(error, &[], &region);
    let single = seen.iter().filter_map(|seen| seen.unreadable.as_ref());
    let problems = gap.into_iter().chain(single).map(explain).collect();
    RegionSweep {
        engine: engine.into_engine(),
        time: Some(time),
        shown: seen.len(),
        is_answered: gap.is_none() || !seen.is_empty(),
        region,
        problems,
    }
}

fn estate() -> Vec<Secret> {
    let stuck = Secret {
        labels: labels(&[(CURRENT, "AWSCURRENT"), (PENDING, "AWSPENDING")]),
        last_changed: Some(ago(26)),
        next_rotation: Some(ago(24)),
        ..secret("payments/db/main")
    };
    let rotating = Secret {
        last_changed: Some(ago(1)),
        ..Secret {
            ..renamed(&stuck, "payments/db/replica")
        }
    };
    let hostile = Secret {
        next_rotation: Some(ago(50)),
        ..secret("web/<script>alert('1')</script>|`&\"x\"")
    };
    let disabled = Secret {
        rotation: Rotation::Disabled,
        last_rotated: None,
        ..secret("legacy/ftp")
    };
    let deleted = Secret {
        deleted: Some(ago(72)),
        ..secret("old/api-key")
    };
    let broken = Secret {
        labels: LabelMap::new(),
        ..secret("new/empty")
    };
    let replica = Secret {
        primary_region: Some(region("us-east-1")),
        ..secret("copied")
    };
    vec![
        stuck,
        rotating,
        hostile,
        disabled,
        deleted,
        broken,
        replica,
        secret("payments/api-key"),
    ]
}

fn secret(name: &str) -> Secret {
    Secret {
        labels: labels(&[(CURRENT, "AWSCURRENT")]),
        rotation: Rotation::Enabled {
            function: None,
            rules: RotationRules::default(),
        },
        last_changed: Some(ago(12 * 24)),
        last_rotated: Some(ago(12 * 24)),
        next_rotation: Some(now().plus(hours(18 * 24))),
        created: Some(ago(400 * 24)),
        ..bare_secret(name)
    }
}

fn renamed(secret: &Secret, name: &str) -> Secret {
    Secret {
        arn: arn(name),
        name: secret_name(name),
        ..secret.clone()
    }
}

fn unreadable(name: &str) -> Observation {
    Observation {
        unreadable: Some(error(ErrorClass::Denied, "AccessDeniedException")),
        ..Observation::listed(secret(name))
    }
}

/// Returns a region that AWS did not show.
fn torn(name: &str) -> RegionSweep {
    let gap = error(ErrorClass::Credentials, "ExpiredTokenException");
    swept(name, now(), &[], Some(&gap))
}

fn observed(secrets: Vec<Secret>) -> Vec<Observation> {
    let observed = secrets.into_iter().map(|secret| {
        let pending = secret.unfinished().cloned();
        let versions = pending.map(|pending| VersionListing {
            created: BTreeMap::from([(pending, secret.last_changed)]),
        });
        observation(secret, versions)
    });
    observed.collect()
}

fn labels(pairs: &[(&str, &str)]) -> LabelMap {
    let pair =
        |(version, label): &(&str, &str)| (fixtures::version(version), [stage_label(label)].into());
    pairs.iter().map(pair).collect()
}

fn error(class: ErrorClass, code: &str) -> AwsError {
    AwsError {
        code: Some(code.to_owned()),
        ..aws_error(class)
    }
}

fn ago(hours: u64) -> AwsTime {
    fixtures::ago(fixtures::hours(hours))
}

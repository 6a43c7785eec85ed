//! Every write of the manual actions: lost before or after it was applied, with the controller killed while it waits, or
//! with the connection reset. The result is the same as without the failure.

use std::fmt::Write as _;

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::Policy;
use secret_rotation_tests::Story;
use secret_rotation_tests::by_hand::{ByHand, holder};
use secret_rotation_tests::invariants::writes_to;
use secret_rotation_tests::objects::{is_finished, state, steps};
use serde_json::{Value, json};

/// The action, the word in the parameters of the write that fails, the AWS operation, and the initial state of the secret.
const WRITES: [(&str, &str, &str, &str, Situation); 8] = [
    (
        "promote-pin",
        "PromotePending",
        "UpdateSecretVersionStage",
        "srp-pin-",
        Situation::Stuck,
    ),
    (
        "promote-move",
        "PromotePending",
        "UpdateSecretVersionStage",
        "AWSCURRENT",
        Situation::Stuck,
    ),
    (
        "promote-drop",
        "PromotePending",
        "UpdateSecretVersionStage",
        "AWSPENDING",
        Situation::Stuck,
    ),
    (
        "undo-attach",
        "RestorePending",
        "UpdateSecretVersionStage",
        "AWSPENDING",
        Situation::Cleared,
    ),
    (
        "swap-pin",
        "RestorePending",
        "UpdateSecretVersionStage",
        "srp-pin-",
        Situation::FailedAgain,
    ),
    (
        "swap-move",
        "RestorePending",
        "UpdateSecretVersionStage",
        "AWSPENDING",
        Situation::FailedAgain,
    ),
    (
        "revert",
        "RevertToPrevious",
        "UpdateSecretVersionStage",
        "AWSCURRENT",
        Situation::Resting,
    ),
    (
        "undelete",
        "RestoreSecret",
        "RestoreSecret",
        "",
        Situation::Deleted,
    ),
];

const FAULTS: [(&str, FaultKind); 4] = [
    ("hang-before", FaultKind::HangBefore),
    ("hang-after", FaultKind::HangAfter),
    ("reset-before", FaultKind::ResetBefore),
    ("reset-after", FaultKind::ResetAfter),
];

#[derive(Clone, Copy)]
enum Situation {
    Stuck,
    Cleared,
    FailedAgain,
    Resting,
    Deleted,
}

const CURRENT: &str = "11111111-1111-1111-1111-111111111111";
const PREVIOUS: &str = "22222222-2222-2222-2222-222222222222";
const STUCK: &str = "33333333-3333-3333-3333-333333333333";
const LATER: &str = "44444444-4444-4444-4444-444444444444";

fn secret(name: &str, situation: Situation, pin: &str) -> String {
    let mut text = format!("- name: {name}\n  created: -400d\n  lastChanged: -26h\n");
    if matches!(situation, Situation::Deleted) {
        text.push_str("  deleted: -2d\n");
    }
    text.push_str(
        "  rotation: {function: ok, everyDays: 300, lastRotated: -40d, next: +200d}\n  versions:\n",
    );
    let mut version = |id: &str, labels: &str, age: &str| {
        writeln!(text, "  - {{id: {id}, labels: [{labels}], created: {age}}}")
            .expect("a string takes it");
    };
    version(CURRENT, "AWSCURRENT", "-40d");
    version(PREVIOUS, "AWSPREVIOUS", "-70d");
    match situation {
        Situation::Stuck => version(STUCK, "AWSPENDING", "-26h"),
        Situation::Cleared => version(STUCK, pin, "-30h"),
        Situation::FailedAgain => {
            version(STUCK, pin, "-30h");
            version(LATER, "AWSPENDING", "-26h");
        }
        Situation::Resting | Situation::Deleted => {}
    }
    text
}

fn request(story: &Story, action: &str, secret: &str) -> Value {
    let truth = story.inspect(secret);
    let expect = match action {
        "PromotePending" => json!({"currentVersionId": CURRENT, "pendingVersionId": STUCK}),
        "RestorePending" => {
            json!({"pinnedVersionId": STUCK, "pendingVersionId": holder(&truth, "AWSPENDING")})
        }
        "RevertToPrevious" => json!({"currentVersionId": CURRENT, "previousVersionId": PREVIOUS}),
        _ => json!({"deletedTime": truth.deleted.expect("it is deleted").to_string()}),
    };
    ByHand::new(&secret.replace('/', "-"), "apps", action, secret)
        .expecting(&expect)
        .object()
}

fn all() -> impl Iterator<Item = (String, &'static str, Situation, Option<Fault>)> {
    WRITES
        .into_iter()
        .flat_map(|(write, action, operation, text, situation)| {
            let calm = (format!("app/{write}-calm"), action, situation, None);
            let struck = FAULTS.into_iter().map(move |(fault, kind)| {
                let name = format!("app/{write}-{fault}");
                let fault = Fault::on(operation, kind)
                    .containing(text)
                    .about(&name)
                    .times(1);
                (name, action, situation, Some(fault))
            });
            std::iter::once(calm).chain(struck)
        })
}

#[test]
fn a_kill_or_a_lost_answer_at_any_write_by_hand_changes_nothing_in_the_end() {
    let mut story = Story::arranged("world: {promote_drops_pending: false}")
        .allowing_everything()
        .policy(&Policy::observing("apps"))
        .ready();
    let uid = story.kubectl(&[
        "get",
        "namespace",
        "kube-system",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    let pin = format!("srp-pin-{}-{}-{STUCK}", &uid[..6], "hte0q");
    let secrets: String = all()
        .map(|(name, _, situation, _)| secret(&name, situation, &pin))
        .collect();
    story
        .aws
        .add(&format!("secrets:\n{secrets}"))
        .expect("a valid estate");
    for (name, action, _, fault) in all() {
        story.apply(&request(&story, action, &name));
        if let Some(fault) = fault {
            story.aws.inject(fault);
        }
    }
    story.start_controller();
    let hangs = WRITES.len() * 2;
    let mut known = 0;
    while known < hangs {
        story.while_time_flies("more requests hang", 10.0, || {
            story.aws.hung_requests_total() > known
        });
        known = story.aws.hung_requests_total();
        story.controllers.last_mut().expect("it runs").kill();
        story.start_controller();
    }
    story.while_time_flies("all have ended", 20.0, || {
        story.operations().iter().all(is_finished)
    });
    for (name, _, _, fault) in all() {
        let write = name
            .split("-hang")
            .next()
            .and_then(|name| name.split("-reset").next());
        let calm = format!("{}-calm", write.expect("a name"));
        if fault.is_some() {
            assert_eq!(
                tale(&story, &name),
                tale(&story, &calm),
                "{name}: {:#?}",
                writes_to(&story.aws, &name)
            );
        } else {
            assert_eq!(
                tale(&story, &name).0,
                ["Succeeded"],
                "{name}: {:#?}",
                story.operations_on(&name)
            );
        }
    }
    story.end();
}

/// Returns the result, the steps, and the labels of each version.
fn tale(story: &Story, secret: &str) -> (Vec<String>, Vec<Vec<String>>, Value) {
    let operations = story.operations_on(secret);
    let truth = story.inspect(secret);
    let plain = |label: &String| {
        if label.starts_with("srp-pin-") {
            "pin".to_owned()
        } else {
            label.clone()
        }
    };
    let labels: Vec<_> = truth
        .labels
        .iter()
        .map(|(version, labels)| json!([version, labels.iter().map(plain).collect::<Vec<_>>()]))
        .collect();
    (
        operations.iter().map(state).collect(),
        operations.iter().map(steps).collect(),
        json!([labels, truth.deleted.is_some()]),
    )
}

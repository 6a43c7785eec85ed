//! The table of `docs/actions.md`: each action in each situation, executed against the simulator.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::by_hand::{ByHand, NOBODY, holder, pinned};
use secret_rotation_tests::objects::{is_finished, state};
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};
use testenv::project;

const ACTIONS: [&str; 9] = [
    "RetryRotation",
    "Rotate",
    "ClearPending",
    "ClearAndRotate",
    "PromotePending",
    "RestorePending",
    "RevertToPrevious",
    "RestoreSecret",
    "ReleasePins",
];

/// The name of a situation in the table, and the initial state in the simulator.
const SITUATIONS: [(&str, &str); 14] = [
    ("stuck, empty", "stuck-empty"),
    ("stuck, valued", "stuck-valued"),
    ("rotating", "rotating"),
    ("healthy", "healthy"),
    ("overdue", "overdue"),
    ("cleared, pinned", "stuck-valued"),
    ("broken", "broken"),
    ("deleted", "deleted"),
    ("managed", "managed"),
    ("replica", "replica"),
    ("disabled", "disabled"),
    ("no permission", ""),
    ("not authorised", ""),
    ("not there", ""),
];

/// Returns the situation in which the action would succeed without another obstacle.
fn suitable(action: &str) -> &'static str {
    match action {
        "Rotate" | "RevertToPrevious" => "healthy",
        "RestoreSecret" => "deleted",
        _ => "stuck-valued",
    }
}

fn needs_pin(situation: &str, action: &str) -> bool {
    situation == "cleared, pinned" || situation == "no permission" && is_about_pins(action)
}

fn is_about_pins(action: &str) -> bool {
    matches!(action, "RestorePending" | "ReleasePins")
}

fn secret(situation: &str, action: &str) -> String {
    let prefix = if situation == "not authorised" {
        "strict"
    } else {
        "app"
    };
    let situation: String = situation.replace([',', ' '], "");
    format!("{prefix}/{situation}-{action}")
}

fn object_name(situation: &str, action: &str) -> String {
    secret(situation, action).replace('/', "-").to_lowercase()
}

fn cells() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ACTIONS.into_iter().flat_map(|action| {
        SITUATIONS
            .into_iter()
            .map(move |(situation, state)| (action, situation, state))
    })
}

fn estate() -> String {
    let mut estate = "generate:\n".to_owned();
    for (action, situation, state) in cells() {
        let state = if state.is_empty() {
            suitable(action)
        } else {
            state
        };
        if situation != "not there" {
            let function = if state == "rotating" {
                "hang-createSecret"
            } else {
                "ok"
            };
            let name = secret(situation, action);
            writeln!(
                estate,
                "- {{count: 1, name: '{name}', state: {state}, function: '{function}'}}"
            )
            .expect("a string takes it");
        }
    }
    estate
}

/// Builds the operation of a person who has looked at the secret: it expects the versions as they are, or an id that does
/// not exist where there is none.
fn request(story: &Story, situation: &str, action: &str) -> Value {
    let name = secret(situation, action);
    let snapshot = story.aws.inspect(&name);
    let version = |label: &str| {
        snapshot
            .as_ref()
            .and_then(|snapshot| holder(snapshot, label))
    };
    let some = |found: Option<String>| found.unwrap_or_else(|| NOBODY.to_owned());
    let (current, pending) = (some(version("AWSCURRENT")), some(version("AWSPENDING")));
    let changed = snapshot.as_ref().map_or_else(String::new, |snapshot| {
        snapshot
            .deleted
            .unwrap_or(snapshot.last_changed)
            .to_string()
    });
    let expect = match action {
        "Rotate" => json!({"currentVersionId": current}),
        "RevertToPrevious" => {
            json!({"currentVersionId": current, "previousVersionId": some(version("AWSPREVIOUS"))})
        }
        "RestorePending" => {
            json!({"pendingVersionId": version("AWSPENDING"), "pinnedVersionId": some(snapshot.as_ref().and_then(pinned))})
        }
        "RestoreSecret" if changed.is_empty() => json!({"deletedTime": "2026-11-01T00:00:00Z"}),
        "RestoreSecret" => json!({"deletedTime": changed}),
        "ReleasePins" => json!({}),
        _ => json!({"currentVersionId": current, "pendingVersionId": pending}),
    };
    let policy = if situation == "not authorised" {
        "strict"
    } else {
        "apps"
    };
    ByHand::new(&object_name(situation, action), policy, action, &name)
        .expecting(&expect)
        .object()
}

/// Creates pins of the controller, by an operation that leaves them.
fn clear_some(story: &Story) {
    let mut cleared = Vec::new();
    for (action, situation, _) in
        cells().filter(|(action, situation, _)| needs_pin(situation, action))
    {
        let name = secret(situation, action);
        let object = format!("before-{}", object_name(situation, action));
        let clear = ByHand::new(&object, "apps", "ClearPending", &name)
            .expecting_what_is(story, &["pendingVersionId"]);
        story.apply(&clear.object());
        cleared.push(object);
    }
    story.while_time_flies("some are cleared", 20.0, || {
        cleared
            .iter()
            .all(|name| state(&story.get("sro", name)) == "Succeeded")
    });
}

fn forbid(story: &Story) {
    for action in ACTIONS {
        for operation in ["UpdateSecretVersionStage", "RotateSecret", "RestoreSecret"] {
            let name = secret("no permission", action);
            story
                .aws
                .inject(Fault::on(operation, FaultKind::AccessDenied).about(&name));
        }
    }
}

#[test]
fn every_action_does_in_every_situation_what_the_documentation_says() {
    let strict = json!({"profileRef": {"name": "strict"}, "selector": {"include": [{"namePrefix": "strict/"}]}});
    let story = Story::arranged(&estate())
        .allowing_everything()
        .profile_called("strict", &json!({"allowedActions": null}))
        .policy(&Policy::observing("apps"))
        .policy(&Policy::observing("strict").but(&strict))
        .start();
    clear_some(&story);
    forbid(&story);
    let requests: Vec<_> = cells()
        .map(|(action, situation, _)| request(&story, situation, action).to_string())
        .collect();
    let list = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [{}]}}"#,
        requests.join(",")
    );
    story.cluster.apply_text(&list).expect("all are valid");
    story.while_time_flies("all have ended", 30.0, || {
        story.operations().iter().all(is_finished)
    });
    let states: BTreeMap<_, _> = story
        .operations()
        .iter()
        .map(|one| {
            let name = one["metadata"]["name"].as_str().unwrap_or_default();
            (name.to_owned(), state(one).replace('!', ""))
        })
        .collect();
    let found = table(&states);
    let page =
        fs::read_to_string(project::root().join("docs/actions.md")).expect("the page exists");
    assert!(
        page.contains(&found),
        "docs/actions.md must hold this table:\n{found}"
    );
}

fn table(states: &BTreeMap<String, String>) -> String {
    let mut table = "| Situation |".to_owned();
    for action in ACTIONS {
        write!(table, " {action} |").expect("a string takes it");
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(ACTIONS.len()));
    table.push('\n');
    for (situation, _) in SITUATIONS {
        write!(table, "| {situation} |").expect("a string takes it");
        for action in ACTIONS {
            let outcome = &states[&object_name(situation, action)];
            write!(table, " {outcome} |").expect("a string takes it");
        }
        table.push('\n');
    }
    table
}

//! The health of resources in Argo CD and Flux, by the expressions of `deploy/gitops`, from statuses that the controller
//! wrote.

use cel::{Context, Program};
use mlua::{Lua, LuaOptions, LuaSerdeExt as _, StdLib, Table};
use secret_rotation_tests::by_hand::{ByHand, NOBODY, holder};
use secret_rotation_tests::objects::{condition, state, text, verdict};
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};
use testenv::project;

fn read(file: &str) -> Value {
    let path = project::root().join("deploy/gitops").join(file);
    let text = std::fs::read_to_string(path).expect("the file is there");
    serde_saphyr::from_str(&text).expect("it is YAML")
}

/// Returns health as Argo CD shows it: a status and a message. Argo CD runs Lua 5.1 with only the library for tables.
fn argo(object: &Value) -> (String, String) {
    let key = format!(
        "resource.customizations.health.secretrotation.dev_{}",
        text(&object["kind"])
    );
    let script = text(&read("argocd-health.yaml")["data"][&key]);
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).expect("Lua starts");
    let object = lua.to_value(object).expect("an object is a table");
    lua.globals().set("obj", object).expect("a global is set");
    let health: Table = lua.load(script).eval().expect("the script runs");
    let field = |name: &str| health.get(name).unwrap_or_default();
    (field("status"), field("message"))
}

/// Returns health as Flux computes it, in its order.
fn flux(object: &Value) -> &'static str {
    if object["status"]["observedGeneration"].is_number()
        && object["status"]["observedGeneration"] != object["metadata"]["generation"]
    {
        return "InProgress";
    }
    let file = read("flux-health.yaml");
    let checks = file["healthCheckExprs"].as_array().expect("a list");
    let check = checks.iter().find(|one| one["kind"] == object["kind"]);
    let check = check.expect("the kind has a check");
    assert_eq!(check["apiVersion"], object["apiVersion"]);
    let outcomes = [
        ("inProgress", "InProgress"),
        ("failed", "Failed"),
        ("current", "Current"),
    ];
    for (field, outcome) in outcomes {
        if check[field]
            .as_str()
            .is_some_and(|expression| holds(expression, object))
        {
            return outcome;
        }
    }
    "InProgress"
}

fn holds(expression: &str, object: &Value) -> bool {
    let program = Program::compile(expression).expect("the expression is CEL");
    let mut context = Context::default();
    for (field, value) in object.as_object().expect("an object") {
        context
            .add_variable(field.as_str(), value)
            .expect("a field is a value");
    }
    let outcome = program
        .execute(&context)
        .expect("the expression holds or does not");
    outcome == cel::Value::Bool(true)
}

/// A committed object has no status yet.
#[test]
fn what_nobody_has_looked_at_is_in_progress() {
    let policy = Policy::observing("apps").object();
    for status in [json!({"observedGeneration": -1}), Value::Null] {
        let mut policy = policy.clone();
        policy["metadata"]["generation"] = json!(1);
        if !status.is_null() {
            policy["status"] = status;
        }
        assert_eq!(argo(&policy).0, "Progressing");
    }
}

#[test]
fn argo_and_flux_tell_healthy_stuck_stalled_retried_suspended_and_new_policies_apart() {
    let estate = "generate: [{count: 1, name: app/db, state: healthy}, {count: 1, name: late/db, state: stuck-empty}]";
    let mut story = Story::arranged(estate)
        .policy(&Policy::observing("healthy"))
        .policy(&Policy::observing("stuck").selecting("late/"))
        .policy(&Policy::observing("stalled").but(&json!({"regions": ["us-east-1"]})))
        .policy(&Policy::observing("retried").but(&json!({"profileRef": {"name": "nowhere"}})))
        .policy(&Policy::observing("suspended").but(&json!({"suspend": true})))
        .ready();
    let get = |name: &str| story.get("srp", name);
    let fresh = get("healthy");
    assert_eq!(
        (argo(&fresh).0.as_str(), flux(&fresh)),
        ("Progressing", "InProgress")
    );

    story.start_controller();
    let get = |name: &str| story.get("srp", name);
    let names = ["healthy", "stuck", "stalled", "retried", "suspended"];
    story.eventually("every policy is judged", || {
        names
            .iter()
            .all(|name| !["", "Unknown/Progressing"].contains(&&*verdict(&get(name), "Ready")))
    });
    let seen = names.map(|name| {
        let policy = get(name);
        (verdict(&policy, "Ready"), argo(&policy).0, flux(&policy))
    });
    let expected = [
        ("True/Succeeded", "Healthy", "Current"),
        ("True/Succeeded", "Healthy", "Current"),
        ("False/RegionNotAllowed", "Degraded", "Failed"),
        ("False/ProfileNotFound", "Progressing", "InProgress"),
        ("True/Suspended", "Suspended", "Current"),
    ];
    assert_eq!(
        seen,
        expected.map(|(ready, argo, flux)| (ready.to_owned(), argo.to_owned(), flux))
    );
    let stuck = get("stuck");
    assert_eq!(verdict(&stuck, "Healthy"), "False/RotationStuck");
    assert_eq!(
        argo(&stuck).1,
        text(&condition(&stuck, "Healthy")["message"])
    );
    let profile = story.get("awsap", "default");
    assert_eq!(
        (argo(&profile).0.as_str(), flux(&profile)),
        ("Healthy", "Current")
    );
    story.end();
}

#[test]
fn argo_and_flux_tell_waiting_finished_and_failed_operations_apart() {
    let estate = "generate: [{count: 1, name: app/db, state: healthy}, {count: 1, name: app/web, state: healthy}, {count: 1, name: app/api, state: healthy}]";
    let mut story = Story::observing(estate);
    let rotate = |name: &str, secret: &str, current: &str| {
        ByHand::new(name, "apps", "Rotate", secret).expecting(&json!({"currentVersionId": current}))
    };
    let current = |secret: &str| {
        let truth = story.inspect(secret);
        holder(&truth, "AWSCURRENT").expect("it has a value")
    };
    story.apply(&rotate("good", "app/db", &current("app/db")).object());
    story.apply(&rotate("bad", "app/web", NOBODY).object());
    let waits = rotate("waits", "app/api", &current("app/api"))
        .with("approval", &json!("Required"))
        .with("requestedBy", &json!("admin"));
    story.apply(&waits.object());
    let names = ["good", "bad", "waits"];
    let states = |story: &Story| names.map(|name| state(&story.get("sro", name)));
    let expected = ["Succeeded", "!PreconditionFailed", "AwaitingApproval"];
    story.while_time_flies("all three are where they end", 20.0, || {
        states(&story) == expected
    });
    let seen = names.map(|name| {
        let operation = story.get("sro", name);
        (argo(&operation).0, flux(&operation))
    });
    let expected = [
        ("Healthy", "Current"),
        ("Degraded", "Failed"),
        ("Suspended", "InProgress"),
    ];
    assert_eq!(seen, expected.map(|(argo, flux)| (argo.to_owned(), flux)));
    story.controllers.clear();
    story.end();
}

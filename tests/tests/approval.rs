//! Approval by a second person: who may request, approve and use a profile, and how the API server refuses others.

use secret_rotation_tests::by_hand::ByHand;
use secret_rotation_tests::context::{many, one};
use secret_rotation_tests::objects::{condition, finding, is_finished, message, state, text};
use secret_rotation_tests::people::{bound, bound_everywhere, bound_here, role};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};
use testenv::project;

const OURS: [&str; 1] = ["secretrotation.dev"];

const BOT: &str = "system:serviceaccount:team-payments:bot";

fn roles() -> Vec<Value> {
    let objects = [
        "secretrotationpolicies",
        "secretrotationpolicies/status",
        "secretrotationoperations",
        "secretrotationoperations/status",
    ];
    let edit = ["get", "list", "create", "update", "patch"];
    vec![
        role("editor", &OURS, &objects, &edit),
        bound("editors", "editor", &["alice", "mallory"]),
        bound_here(
            "approvers",
            "secret-rotation-approver",
            &["bob", "alice", BOT],
        ),
        bound_everywhere(
            "default-profile",
            "secret-rotation-profile-user",
            &["alice"],
        ),
        bound_here("responders", "secret-rotation-responder", &["alice"]),
        role("everything", &["*"], &["*"], &["*"]),
        bound("wildcards", "everything", &["wanda"]),
    ]
}

/// alice edits, operates, approves and uses the profile; bob approves; mallory only edits; wanda has every permission that
/// a role of the namespace can grant.
fn cast(estate: &str) -> Story {
    let story = Story::arranged(estate).roles(&roles()).ready();
    story.eventually("the admission policies are at work", || {
        let policy = Policy::observing("probe").object().to_string();
        let probe = ["create", "--dry-run=server", "-f", "-"];
        story
            .kubectl_as("mallory", &probe, &policy)
            .is_err_and(|error| error.contains("may not use"))
    });
    // An operation that is created before they are enforced can never be approved.
    story.until_approvals_count();
    story
}

fn create(story: &Story, user: &str, object: &Value) -> Result<String, String> {
    story.kubectl_as(user, &["create", "-f", "-"], &object.to_string())
}

fn patch(story: &Story, user: &str, name: &str, change: &Value) -> Result<String, String> {
    story.patch_as(user, &["sro", name], change)
}

fn decide(
    story: &Story,
    user: &str,
    name: &str,
    verdict: &str,
    by: &str,
) -> Result<String, String> {
    let decision = json!({"verdict": verdict, "by": by, "message": "a story"});
    patch(story, user, name, &json!({"spec": {"decision": decision}}))
}

#[track_caller]
fn refused(answer: Result<String, String>, part: &str) {
    let error = answer.expect_err(part);
    assert!(error.contains(part), "{error}");
}

fn rotate(story: &Story, name: &str, secret: &str) -> ByHand {
    ByHand::new(name, "apps", "Rotate", secret).expecting_what_is(story, &["currentVersionId"])
}

#[test]
fn the_api_server_knows_who_may_and_who_may_not() {
    let story = cast(&one("healthy"));
    who_may_refer_to_a_profile(&story);
    the_brake_is_free(&story);
    who_may_operate(&story);
    who_may_ask(&story);
    who_may_approve(&story);
    an_account_may_approve_in_its_own_name(&story);
    who_may_write_what_the_controller_writes(&story);
}

fn who_may_refer_to_a_profile(story: &Story) {
    let policy = Policy::observing("apps").object();
    refused(
        create(story, "mallory", &policy),
        "may not use AWSAccessProfile default",
    );
    create(story, "alice", &policy).expect("alice may use the profile");
    let label = ["label", "srp", "apps", "-n", TEAM, "team=payments"];
    story
        .kubectl_as("mallory", &label, "")
        .expect("labels need no use");
    for reach in [
        json!({"spec": {"selector": {"maxSecrets": 7}}}),
        json!({"spec": {"mode": "Remediate"}}),
        json!({"spec": {"regions": ["eu-west-1"]}}),
        json!({"spec": {"checkInterval": "7m"}}),
        json!({"spec": {"detection": {"stuckAfter": "7h"}}}),
        json!({"spec": {"remediation": {"confirmAfter": "7m"}}}),
    ] {
        refused(
            story.patch_as("mallory", &["srp", "apps"], &reach),
            "may not use",
        );
    }
    let other = json!({"spec": {"profileRef": {"name": "other"}}});
    refused(
        story.patch_as("alice", &["srp", "apps"], &other),
        "profileRef cannot be changed",
    );
}

/// Suspending needs only the permission to edit; resuming needs the permission to use the profile.
fn the_brake_is_free(story: &Story) {
    let apps = ["srp", "apps"];
    let mode = |mode: &str| json!({"spec": {"mode": mode}});
    story
        .patch_as("alice", &apps, &mode("Remediate"))
        .expect("alice may use the profile");
    story
        .patch_as("mallory", &apps, &mode("Observe"))
        .expect("everyone may stop it");
    refused(
        story.patch_as("mallory", &apps, &mode("Remediate")),
        "may not use",
    );
    let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
    story
        .patch_as("mallory", &apps, &suspend(true))
        .expect("everyone may stop it");
    refused(
        story.patch_as("mallory", &apps, &suspend(false)),
        "may not use",
    );
    let both = json!({"spec": {"suspend": true, "selector": {"maxSecrets": 7}}});
    refused(story.patch_as("mallory", &apps, &both), "may not use");
    story
        .patch_as("alice", &apps, &suspend(false))
        .expect("alice may use the profile");
}

fn who_may_operate(story: &Story) {
    let plain = rotate(story, "zero", "app/db").object();
    refused(create(story, "mallory", &plain), "verb operate");
    let retry = |token: &str| json!({"metadata": {"annotations": {"secretrotation.dev/retry-requested-at": token}}});
    let apps = ["srp", "apps"];
    refused(
        story.patch_as("mallory", &apps, &retry("1")),
        "verb operate",
    );
    story
        .patch_as("alice", &apps, &retry("1"))
        .expect("alice operates");
    let check =
        json!({"metadata": {"annotations": {"secretrotation.dev/check-requested-at": "1"}}});
    story
        .patch_as("mallory", &apps, &check)
        .expect("a check needs no right but that to edit");
    story.allow(&[bound_here(
        "mallory-operates",
        "secret-rotation-responder",
        &["mallory"],
    )]);
    let dry_run = ["create", "--dry-run=server", "-f", "-"];
    story.eventually("mallory may create operations", || {
        story
            .kubectl_as("mallory", &dry_run, &plain.to_string())
            .is_ok()
    });
}

fn who_may_ask(story: &Story) {
    let plain = rotate(story, "one", "app/db");
    let by = |user: &str| plain.clone().with("requestedBy", &json!(user)).object();
    let own_name = "write alice into spec.requestedBy";
    refused(create(story, "alice", &by("bob")), own_name);
    let dry_run = ["create", "--dry-run=server", "-f", "-"];
    let dry = story.kubectl_as("alice", &dry_run, &by("bob").to_string());
    refused(dry, own_name);
    let as_administrator = story.try_apply(&by("alice")).map(|()| String::new());
    refused(
        as_administrator.map_err(|error| format!("{error:#}")),
        "into spec.requestedBy",
    );
    let automatic = plain.clone().with("trigger", &json!("Policy")).object();
    refused(create(story, "alice", &automatic), "write trigger Manual");
    let decided = |by: &str| json!({"verdict": "Approve", "by": by});
    let approved = plain.clone().with("decision", &decided("mallory")).object();
    refused(
        create(story, "mallory", &approved),
        "may not decide about operations",
    );
    let own = plain
        .clone()
        .with("requestedBy", &json!("alice"))
        .with("decision", &decided("alice"))
        .object();
    refused(create(story, "alice", &own), "another person must");
    create(story, "alice", &by("alice")).expect("alice asks");
}

fn who_may_approve(story: &Story) {
    let approve = |user: &str, by: &str| decide(story, user, "one", "Approve", by);
    refused(approve("mallory", "mallory"), "may not decide");
    refused(approve("bob", "alice"), "write bob into spec.decision.by");
    refused(approve("alice", "alice"), "another person must");
    let other = json!({"spec": {"reason": "another"}});
    refused(
        patch(story, "bob", "one", &other),
        "cannot be changed, except that decision can be set once",
    );
    approve("bob", "bob").expect("bob approves");
    refused(decide(story, "bob", "one", "Deny", "bob"), "once");
    let undecided = json!({"spec": {"decision": null}});
    refused(patch(story, "bob", "one", &undecided), "once");
}

fn an_account_may_approve_in_its_own_name(story: &Story) {
    let second = rotate(story, "two", "app/db").with("requestedBy", &json!("alice"));
    create(story, "alice", &second.object()).expect("alice asks again");
    refused(
        decide(story, "bob", "two", "Approve", BOT),
        "write bob into spec.decision.by",
    );
    let decision = json!({"spec": {"decision": {"verdict": "Approve", "by": BOT}}}).to_string();
    let approve = ["patch", "sro", "two", "--type=merge", "-p", &decision];
    let as_bot = ["--as", BOT, "-n", TEAM].into_iter().chain(approve);
    story.kubectl(&as_bot.collect::<Vec<_>>());
}

fn who_may_write_what_the_controller_writes(story: &Story) {
    let retried = json!({"token": "x", "time": "2026-11-23T10:00:00Z"});
    for (kind, name, status) in [
        ("srp", "apps", json!({"lastRetryRequest": retried})),
        ("sro", "one", json!({"secretName": "x"})),
    ] {
        let object = [kind, name, "--subresource=status"];
        let forged = story.patch_as("alice", &object, &json!({"status": status}));
        refused(forged, "may not write the status");
    }
    let label = [
        "label",
        "sro",
        "one",
        "-n",
        TEAM,
        "secretrotation.dev/secret=x",
    ];
    refused(
        story.kubectl_as("alice", &label, ""),
        "do not change the labels",
    );
    // A role of the namespace that grants every verb does not give the permissions of the controller.
    let status = ["sro", "one", "--subresource=status"];
    let forged = story.patch_as("wanda", &status, &json!({"status": {"secretName": "x"}}));
    refused(forged, "may not write the status");
    let automatic = rotate(story, "forged", "app/db").with("trigger", &json!("Policy"));
    refused(
        create(story, "wanda", &automatic.object()),
        "write trigger Manual",
    );
    refused(
        story.kubectl_as("wanda", &label, ""),
        "do not change the labels",
    );
}

/// From the finding and the approval to the rotation.
#[test]
fn an_operation_waits_for_another_person() {
    let mut story = cast(
        "generate: [{count: 1, name: app/db, state: stuck-empty}, {count: 1, name: app/web, state: healthy}, {count: 1, name: app/api, state: healthy}]",
    );
    let asks = json!({"remediation": {"approval": "Required"}});
    story.apply_policy(&Policy::acting("apps").but(&asks));
    story.start_controller();
    story.eventually("the operation waits", || {
        story
            .operations()
            .iter()
            .any(|one| state(one) == "AwaitingApproval")
    });
    let operation = &story.operations()[0];
    assert_eq!(operation["spec"]["approval"], "Required");
    let name = text(&operation["metadata"]["name"]);
    story.eventually("the finding says so", || {
        let policy = story.get("srp", "apps");
        let found = finding(&policy, "app/db");
        found["blockedBy"] == "AwaitingApproval" && found["operation"] == *name
    });
    let by_hand = rotate(&story, "by-hand", "app/web").with("requestedBy", &json!("alice"));
    create(&story, "alice", &by_hand.object()).expect("alice asks");
    let nameless = rotate(&story, "nameless", "app/api");
    create(&story, "alice", &nameless.object()).expect("she need not say who she is");
    let decision = json!({"verdict": "Approve", "by": "alice"});
    let foregone = rotate(&story, "foregone", "app/api")
        .with("approval", &json!("Required"))
        .with("decision", &decision);
    create(&story, "alice", &foregone.object()).expect("she may decide, as far as anybody knows");
    for name in [name.as_str(), "by-hand", "nameless"] {
        decide(&story, "bob", name, "Approve", "bob").expect("bob approves");
    }
    story.while_time_flies("all have ended", 20.0, || {
        story.operations().iter().all(is_finished)
    });
    for name in [name.as_str(), "by-hand"] {
        let operation = story.get("sro", name);
        assert_eq!(state(&operation), "Succeeded", "{operation:#}");
        assert_eq!(condition(&operation, "Approved")["status"], "True");
        assert_eq!(message(&operation, "Approved"), "approved by bob");
    }
    for name in ["nameless", "foregone"] {
        let operation = story.get("sro", name);
        assert_eq!(state(&operation), "!Rejected");
        assert!(message(&operation, "Failed").contains("spec.requestedBy"));
    }
    let wide = story.kubectl(&["get", "sro", "-n", TEAM, "-o", "wide"]);
    assert!(
        wide.contains("DECIDED-BY") && wide.contains("bob"),
        "{wide}"
    );
    story.end();
}

/// In a cluster without the admission policies no approval counts, because any user could have written it.
#[test]
fn without_admission_policies_nobody_can_approve() {
    let mut story = cast(&one("stuck-empty"));
    story.profile(&json!({"approvalRequiredFor": ["ClearPending"]}));
    let binding = "secret-rotation-operations.secretrotation.dev";
    story.kubectl(&["delete", "validatingadmissionpolicybinding", binding]);
    story.apply_policy(&Policy::acting("apps"));
    story.start_controller();
    story.eventually("the operation waits", || {
        story
            .operations()
            .iter()
            .any(|one| state(one) == "AwaitingApproval")
    });
    let name = text(&story.operations()[0]["metadata"]["name"]);
    let says = |what: &str| message(&story.get("sro", &name), "Complete").contains(what);
    story.eventually("it says that nobody can", || {
        says("admission policies are not installed")
    });
    story.eventually("mallory approves, as nothing keeps her from it", || {
        decide(&story, "mallory", &name, "Approve", "bob").is_ok()
    });
    let role = installed_role(&story);
    let replace = |role: &Value| story.cluster.replace_text(&role.to_string());
    replace(&older(&role)).expect("the rights are taken away");
    story.eventually("it says what may not be read", || {
        story.poke();
        says("the controller may not read")
    });
    replace(&role).expect("the rights are given back");
    story
        .cluster
        .apply(&project::root().join("deploy/admission"))
        .expect("the policies apply");
    story.eventually(
        "an approval that nobody watched counts no more afterwards",
        || {
            story.poke();
            says("create another operation")
        },
    );
    assert_eq!(state(&story.get("sro", &name)), "AwaitingApproval");
    assert!(
        story
            .inspect("app/db")
            .labels
            .values()
            .flatten()
            .all(|label| !label.starts_with("srp-pin"))
    );
    story.end();
}

/// Returns the installed role of the controller.
fn installed_role(story: &Story) -> Value {
    const ROLE: [&str; 5] = [
        "get",
        "clusterrole",
        "secret-rotation-controller",
        "-o",
        "json",
    ];
    let mut role: Value = serde_json::from_str(&story.kubectl(&ROLE)).expect("JSON");
    role["metadata"] = json!({"name": ROLE[2]});
    role
}

/// Returns the role of the controller of an older release.
fn older(role: &Value) -> Value {
    let mut older = role.clone();
    let rules = older["rules"].as_array_mut().expect("rules");
    rules.retain(|rule| rule["apiGroups"] != json!(["admissionregistration.k8s.io"]));
    assert_ne!(older, *role);
    older
}

/// Admission policies that look unchanged prove nothing about the time between two looks.
#[test]
fn an_approval_that_was_forged_in_a_gap_does_not_count() {
    let mut story = cast(&many(3, "healthy"));
    story.apply_policy(&Policy::observing("apps"));
    story.start_controller();
    let replace = |actions: &str| json!([{"op": "replace", "path": "/spec/validationActions", "value": [actions]}]);
    let never = json!([{"name": "never", "expression": "false"}]);
    let gaps = [
        (
            "validatingadmissionpolicybinding",
            replace("Audit"),
            replace("Deny"),
        ),
        // A field that was added and removed again leaves no trace in managedFields.
        (
            "validatingadmissionpolicy",
            json!([{"op": "add", "path": "/spec/matchConditions", "value": never}]),
            json!([{"op": "remove", "path": "/spec/matchConditions"}]),
        ),
    ];
    for (number, (kind, weaken, restore)) in gaps.iter().enumerate() {
        let name = format!("forged-{}", number + 1);
        wait_for_a_decision(&story, &name, &format!("app/db-{}", number + 1));
        edit_guard(&story, kind, weaken);
        story.eventually("mallory approves in bob's name", || {
            decide(&story, "mallory", &name, "Approve", "bob").is_ok()
        });
        edit_guard(&story, kind, restore);
        story.eventually("the approval does not count", || {
            story.poke();
            message(&story.get("sro", &name), "Complete").contains("create another operation")
        });
        assert_eq!(state(&story.get("sro", &name)), "AwaitingApproval");
        story.until_approvals_count_again();
    }
    wait_for_a_decision(&story, "honest", "app/db-3");
    decide(&story, "bob", "honest", "Approve", "bob").expect("bob approves");
    story.while_time_flies("the honest one succeeds", 20.0, || {
        state(&story.get("sro", "honest")) == "Succeeded"
    });
    for forged in ["forged-1", "forged-2"] {
        assert_eq!(state(&story.get("sro", forged)), "AwaitingApproval");
    }
    story.end();
}

fn wait_for_a_decision(story: &Story, name: &str, secret: &str) {
    let operation = rotate(story, name, secret)
        .with("approval", &json!("Required"))
        .with("requestedBy", &json!("alice"));
    create(story, "alice", &operation.object()).expect("alice asks");
    story.eventually("a decision would count", || {
        message(&story.get("sro", name), "Complete").contains("waiting for an approver")
    });
}

fn edit_guard(story: &Story, kind: &str, change: &Value) {
    let name = "secret-rotation-operations.secretrotation.dev";
    let change = change.to_string();
    story.kubectl(&["patch", kind, name, "--type=json", "-p", &change]);
}

/// A denied operation ends, and the controller proposes no new one for a while.
#[test]
fn a_denial_is_respected() {
    let mut story = cast(&one("stuck-empty"));
    let asks = json!({"remediation": {"approval": "Required"}});
    story.apply_policy(&Policy::acting("apps").but(&asks));
    story.start_controller();
    story.eventually("the operation waits", || {
        story
            .operations()
            .iter()
            .any(|one| state(one) == "AwaitingApproval")
    });
    let name = text(&story.operations()[0]["metadata"]["name"]);
    decide(&story, "bob", &name, "Deny", "bob").expect("bob denies");
    story.eventually("it is rejected", || {
        state(&story.get("sro", &name)) == "!Rejected"
    });
    let rejected = story.get("sro", &name);
    assert_eq!(message(&rejected, "Failed"), "denied by bob: a story");
    story.aws.jump(12.0 * 3600.0);
    story.check("apps");
    let policy = story.get("srp", "apps");
    assert_eq!(finding(&policy, "app/db")["blockedBy"], "ManualHold");
    assert_eq!(story.operations().len(), 1);
    story.aws.jump(13.0 * 3600.0);
    story.while_time_flies("it asks again a day later", 20.0, || {
        story.operations().len() == 2
    });
    story.end();
}

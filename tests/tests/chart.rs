//! The Helm chart on a real API server: installation and upgrades, permissions, and roles.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use secret_rotation_tests::by_hand::ByHand;
use secret_rotation_tests::context::one;
use secret_rotation_tests::objects::{is_finished, state, text, verdict};
use secret_rotation_tests::people::{bound_everywhere, bound_here};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};
use testenv::project;
use xtask::chart;
use xtask::markdown::Page;

const SYSTEM: &str = chart::NAMESPACE;
const NAME: &str = chart::RELEASE;

/// Runs Helm on the release; the error is the message of Helm.
fn try_helm(story: &Story, verb: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = story.cluster.helm()?;
    command.args([verb, NAME, "--namespace", SYSTEM]);
    if matches!(verb, "install" | "upgrade") {
        command.arg(chart::folder());
    }
    project::output(command.args(arguments))
}

fn helm(story: &Story, verb: &str, arguments: &[&str]) -> String {
    try_helm(story, verb, arguments).expect("Helm succeeds")
}

fn install(story: &Story, arguments: &[&str]) -> String {
    helm(
        story,
        "install",
        &[&["--create-namespace"], arguments].concat(),
    )
}

/// Returns an object of the release's namespace, or null.
fn installed(story: &Story, kind: &str, name: &str) -> Value {
    let get = [
        "get",
        kind,
        name,
        "-n",
        SYSTEM,
        "-o",
        "json",
        "--ignore-not-found",
    ];
    serde_json::from_str(&story.kubectl(&get)).unwrap_or(Value::Null)
}

fn replicas(story: &Story) -> Value {
    installed(story, "deployment", NAME)["spec"]["replicas"].clone()
}

/// Returns the arguments of the controller in the chart, without those that a story sets too.
fn arguments(story: &Story) -> Vec<String> {
    let deployment = installed(story, "deployment", NAME);
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments = arguments.as_array().expect("the controller has arguments");
    let (given, rest): (Vec<_>, Vec<_>) = arguments
        .iter()
        .map(text)
        .partition(|one| one.starts_with("--lease-namespace=") || one.starts_with("--log-format="));
    let expected = [
        format!("--lease-namespace={SYSTEM}"),
        "--log-format=json".to_owned(),
    ];
    assert_eq!(BTreeSet::from_iter(given), BTreeSet::from(expected));
    rest
}

fn start_as_installed(story: &mut Story) {
    let arguments = arguments(story);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    story.start_controller_with(&arguments);
}

#[test]
fn it_is_installed_upgraded_rolled_back_and_taken_away_and_policies_outlive_it_all() {
    let story = Story::bare(&[], "{}");
    let notes = install(&story, &[]);
    for part in [
        "Next steps:",
        "kind: AWSAccessProfile",
        "helm test secret-rotation-controller",
        "secret-rotation-profile-user",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
    let advised = notes.split("<<EOF\n").skip(1);
    for manifest in advised.filter_map(|rest| rest.split("\nEOF\n").next()) {
        story
            .cluster
            .apply_text(manifest)
            .expect("the advice is good");
    }
    let policy = text(&story.get("srp", "payments")["metadata"]["uid"]);
    assert_ne!(policy, "");
    let kept = |story: &Story| text(&story.get("srp", "payments")["metadata"]["uid"]) == policy;

    assert_eq!(replicas(&story), 2);
    tested(&story);
    helm(&story, "upgrade", &["--set", "replicas=3"]);
    assert_eq!((replicas(&story), kept(&story)), (json!(3), true));
    let refused = try_helm(&story, "upgrade", &["--set", "replicas=many"]).expect_err("no number");
    assert!(
        refused.to_string().contains("got string, want integer"),
        "{refused}"
    );
    assert_eq!(replicas(&story), 3);
    helm(&story, "rollback", &["1"]);
    assert_eq!((replicas(&story), kept(&story)), (json!(2), true));

    helm(&story, "uninstall", &[]);
    assert_eq!(replicas(&story), Value::Null);
    let names = |kind: &str| story.kubectl(&["get", kind, "-o", "name"]);
    assert_eq!(names("validatingadmissionpolicy"), "");
    assert!(!names("clusterrole").contains("secret-rotation"));
    assert_eq!(names("crd").lines().count(), 3);
    assert!(kept(&story));

    install(&story, &[]);
    assert_eq!((replicas(&story), kept(&story)), (json!(2), true));
    helm(&story, "uninstall", &[]);

    taken_over_from_another_release(&story);
    assert!(kept(&story));
    documented(&story, "kubectl delete crd");
    assert_eq!(names("crd"), "");
}

/// Helm refuses CRDs of another release. The README of the chart has a way out for each Helm.
fn taken_over_from_another_release(story: &Story) {
    let refused = || {
        let refused = try_helm(story, "install", &[]).expect_err("the CRDs belong to another");
        let refused = refused.to_string();
        assert!(refused.contains("invalid ownership metadata"), "{refused}");
    };
    let another = |arguments: &[&str]| {
        let mut command = story.cluster.helm().expect("Helm is there");
        command.args(arguments).args(["--namespace", SYSTEM]);
        project::output(&mut command).expect("another release comes and goes");
    };
    let folder = chart::folder();
    let folder = folder.to_string_lossy();
    for way in ["--take-ownership\n", "kubectl label --overwrite crd"] {
        another(&["install", "another", &folder, "--take-ownership"]);
        another(&["uninstall", "another"]);
        refused();
        documented(story, way);
        if replicas(story).is_null() {
            let notes = install(story, &[]);
            assert!(
                notes.contains("add --take-ownership to the command"),
                "{notes}"
            );
        }
        assert_eq!(replicas(story), 2);
        helm(story, "uninstall", &[]);
    }
}

/// Runs the block of the chart's README that contains a text.
fn documented(story: &Story, part: &str) {
    let page = Page::read(Path::new("charts/secret-rotation-controller/README.md"));
    let page = page.expect("the page exists");
    let block = page.blocks.iter().find(|block| block.text.contains(part));
    let block = block.expect(part);
    let helm = story.cluster.helm().expect("Helm is there");
    let kubectl = story.cluster.kubectl();
    let folder = |program: &OsStr| Path::new(program).parent().map(Path::to_owned);
    let system = std::env::var_os("PATH").unwrap_or_default();
    let path = [helm.get_program(), kubectl.get_program()].into_iter();
    let path = path
        .filter_map(folder)
        .chain(std::env::split_paths(&system));
    let mut shell = Command::new("bash");
    shell
        .args(["-euc", &block.text])
        .current_dir(project::root())
        .env("PATH", std::env::join_paths(path).expect("folders"));
    for (variable, value) in helm.get_envs() {
        let Some(value) = value else { continue };
        shell.env(variable, value);
    }
    project::output(&mut shell).expect("the block runs");
}

/// No kubelet runs here: the story writes the status that one would.
fn tested(story: &Story) {
    let mut command = story.cluster.helm().expect("Helm is there");
    command.args(["test", NAME, "--namespace", SYSTEM, "--timeout", "60s"]);
    let test = command.stdout(Stdio::piped()).spawn().expect("Helm runs");
    let pod = format!("{NAME}-selftest");
    story.eventually("the pod of the test is created", || {
        !installed(story, "pod", &pod).is_null()
    });
    let succeeded = json!({"status": {"phase": "Succeeded"}}).to_string();
    let patch = [
        "patch",
        "pod",
        &pod,
        "-n",
        SYSTEM,
        "--subresource=status",
        "-p",
        &succeeded,
    ];
    story.kubectl(&patch);
    let said = test.wait_with_output().expect("Helm ends");
    assert!(said.status.success(), "{said:?}");
    let pod = installed(story, "pod", &pod);
    assert_eq!(pod["status"]["phase"], "Succeeded", "its logs can be read");
}

/// Helm looks up the resources before it creates any.
#[test]
fn a_profile_from_values_needs_a_second_step_and_follows_them_from_then_on() {
    let story = Story::bare(&[], "{}");
    let values = story.cluster.folder().join("profile.yaml");
    let write = |region: &str| {
        let profile = json!({"create": true, "spec": {"regions": [region]}});
        std::fs::write(&values, json!({"profile": profile}).to_string()).expect("it is written");
    };
    let values = values.to_string_lossy();
    let values = ["--values", &*values];
    write("eu-west-1");
    let first = [&["--create-namespace"], values.as_slice()].concat();
    let refused = try_helm(&story, "install", &first).expect_err("the kind is not there yet");
    assert!(
        refused
            .to_string()
            .contains("no matches for kind \"AWSAccessProfile\""),
        "{refused}"
    );
    install(&story, &[]);
    let regions = || story.get("awsap", "default")["spec"]["regions"].clone();
    for region in ["eu-west-1", "eu-central-1"] {
        write(region);
        story.eventually("the kind is known", || {
            try_helm(&story, "upgrade", &values).is_ok()
        });
        assert_eq!(regions(), json!([region]));
    }
    story.end();
}

#[test]
fn with_its_roles_the_controller_recovers_a_stuck_secret() {
    let mut story = Story::bare(&[], &one("stuck-empty"));
    install(&story, &[]);
    story.profile(&json!({}));
    story.apply_policy(&Policy::acting("apps"));
    start_as_installed(&mut story);
    recovered(&story);
    story.end();
}

/// The permissions on policies and operations are Roles, and they are sufficient.
#[test]
fn limited_to_some_namespaces_it_recovers_there_and_sees_nothing_elsewhere() {
    const OTHER: &str = "team-search";
    let estate = "generate: [{count: 1, name: app/db, state: stuck-empty}, {count: 1, name: search/db, state: stuck-empty}]";
    let mut story = Story::bare(&[], estate);
    story.kubectl(&["create", "namespace", OTHER]);
    let scope = format!("watchNamespaces={{{TEAM}}}");
    install(&story, &["--set", &scope]);
    story.profile(&json!({}));
    story.apply_policy(&Policy::acting("apps"));
    let elsewhere = Policy::acting("search")
        .selecting("search/")
        .in_namespace(OTHER);
    story.apply_policy(&elsewhere);

    assert!(arguments(&story).contains(&format!("--namespace={TEAM}")));
    start_as_installed(&mut story);
    recovered(&story);
    let search = story.kubectl(&["get", "srp", "search", "-n", OTHER, "-o", "json"]);
    let search: Value = serde_json::from_str(&search).expect("kubectl prints JSON");
    assert_eq!(search["status"], json!({"observedGeneration": -1}));

    install_another(&story, OTHER);
    let identity = format!("system:serviceaccount:{SYSTEM}:{NAME}");
    let may = |verb: &str, resource: &str, namespace: &str| {
        let ask = [
            "auth", "can-i", verb, resource, "-n", namespace, "--as", &identity,
        ];
        project::output(story.cluster.kubectl().args(ask)).is_ok()
    };
    for (verb, resource) in [
        ("list", "secretrotationpolicies"),
        ("create", "secretrotationoperations"),
        ("automate", "secretrotationoperations"),
        ("create", "events.events.k8s.io"),
    ] {
        assert!(may(verb, resource, TEAM), "{verb} {resource}");
        assert!(!may(verb, resource, OTHER), "{verb} {resource}");
    }
    story.end();
}

/// A second release for other namespaces, without the objects that exist once in a cluster.
fn install_another(story: &Story, namespace: &str) {
    let mut command = story.cluster.helm().expect("Helm is there");
    command
        .args(["install", "another", "--namespace", "another-system"])
        .args(["--create-namespace", "--set", "crds.enabled=false"])
        .args(["--set", "admission.enabled=false,roles.create=false"])
        .args(["--set", &format!("watchNamespaces={{{namespace}}}")])
        .arg(chart::folder());
    project::output(&mut command).expect("a second release is installed");
}

fn recovered(story: &Story) {
    story.while_time_flies("the secret is recovered", 20.0, || {
        let operations = story.operations_on("app/db");
        !operations.is_empty() && operations.iter().all(is_finished)
    });
    let operations = story.operations_on("app/db");
    let states: Vec<_> = operations.iter().map(state).collect();
    assert_eq!(states, ["Succeeded"], "{}", story.scene());
    story.check("apps");
    let policy = story.get("srp", "apps");
    assert_eq!(verdict(&policy, "Ready"), "True/Succeeded");
    assert_eq!(verdict(&policy, "Healthy"), "True/AllRotationsHealthy");
}

#[track_caller]
fn refused(answer: Result<String, String>, part: &str) {
    let error = answer.expect_err(part);
    assert!(error.contains(part), "{error}");
}

/// vera views; eddie edits, uses the profile, has created a policy and requested a rotation; anna approves; paul owns
/// profiles.
fn cast() -> Story {
    let story = Story::bare(&["vera", "eddie", "anna", "paul"], &one("healthy"));
    install(&story, &[]);
    story.allow(&[
        bound_here("viewers", "secret-rotation-viewer", &["vera"]),
        bound_here("editors", "secret-rotation-editor", &["eddie"]),
        bound_here("approvers", "secret-rotation-approver", &["anna"]),
        bound_everywhere("owners", "secret-rotation-profile-admin", &["paul"]),
    ]);
    story.profile(&json!({}));
    let policy = Policy::observing("apps").object().to_string();
    story.eventually("eddie may edit, but not use the profile", || {
        let probe = ["create", "--dry-run=server", "-f", "-"];
        story
            .kubectl_as("eddie", &probe, &policy)
            .is_err_and(|error| error.contains("may not use"))
    });
    let use_default = "payments-use-default";
    story.allow(&[bound_everywhere(
        use_default,
        "secret-rotation-profile-user",
        &["eddie"],
    )]);
    let operation = ByHand::new("one", "apps", "Rotate", "app/db")
        .expecting_what_is(&story, &["currentVersionId"])
        .with("requestedBy", &json!("eddie"))
        .object();
    for object in [policy, operation.to_string()] {
        story
            .kubectl_as("eddie", &["create", "-f", "-"], &object)
            .expect("eddie edits");
    }
    story
}

fn approve(story: &Story, user: &str) -> Result<String, String> {
    let decision = json!({"verdict": "Approve", "by": user});
    story.patch_as(
        user,
        &["sro", "one"],
        &json!({"spec": {"decision": decision}}),
    )
}

#[test]
fn a_viewer_sees_status_and_nothing_else() {
    let story = cast();
    let vera = |arguments: &[&str]| {
        let arguments = [arguments, &["-n", TEAM]].concat();
        story.kubectl_as("vera", &arguments, "")
    };
    let seen = vera(&["get", "srp,sro", "-o", "jsonpath={.items[*].status}"]);
    let seen = seen.expect("vera sees");
    assert_eq!(seen.matches("observedGeneration").count(), 2, "{seen}");
    for forbidden in [
        ["get", "secrets", "--all-namespaces=false"],
        ["get", "awsap", "default"],
        ["delete", "srp", "apps"],
        ["delete", "sro", "one"],
    ] {
        refused(vera(&forbidden), "Forbidden");
    }
    refused(vera(&["label", "srp", "apps", "a=b"]), "Forbidden");
    refused(approve(&story, "vera"), "Forbidden");
    story.end();
}

#[test]
fn an_editor_asks_and_cannot_approve_and_an_approver_can() {
    let story = cast();
    refused(approve(&story, "eddie"), "may not decide about operations");
    let delete = ["delete", "sro", "one", "-n", TEAM];
    refused(story.kubectl_as("eddie", &delete, ""), "Forbidden");
    let policy = Policy::observing("another").object().to_string();
    let create = ["create", "-f", "-"];
    refused(story.kubectl_as("anna", &create, &policy), "Forbidden");
    approve(&story, "anna").expect("anna approves");
    story.end();
}

#[test]
fn an_owner_of_profiles_changes_them_and_neither_their_status_nor_policies() {
    let story = cast();
    let change = |subresource: &[&str], field: &str| {
        let change = json!({field: {"minCheckInterval": "10m"}}).to_string();
        let patch = ["patch", "awsap", "default", "--type=merge", "-p", &change];
        story.kubectl_as("paul", &[&patch, subresource].concat(), "")
    };
    story.eventually("paul may change the profile", || {
        change(&[], "spec").is_ok()
    });
    refused(change(&["--subresource=status"], "status"), "Forbidden");
    let policy = Policy::observing("another").object().to_string();
    let create = ["create", "-f", "-"];
    refused(story.kubectl_as("paul", &create, &policy), "Forbidden");
    story.end();
}

/// No controller manager runs here, so the labels are compared with the aggregation rules of the built-in roles.
#[test]
fn viewer_and_editor_are_part_of_the_built_in_roles_and_approver_is_not() {
    let story = Story::bare(&[], "{}");
    install(&story, &[]);
    let role = |name: &str| -> Value {
        let role = story.kubectl(&["get", "clusterrole", name, "-o", "json"]);
        serde_json::from_str(&role).expect("kubectl prints JSON")
    };
    let takes = |built_in: &str, ours: &str| {
        let (built_in, ours) = (role(built_in), role(ours));
        let selectors = built_in["aggregationRule"]["clusterRoleSelectors"].as_array();
        let selectors = selectors.expect("it is an aggregate").iter();
        let mut wanted = selectors.filter_map(|one| one["matchLabels"].as_object());
        wanted.any(|labels| {
            labels
                .iter()
                .all(|(key, value)| ours["metadata"]["labels"][key] == *value)
        })
    };
    let roles = [
        "viewer",
        "editor",
        "responder",
        "approver",
        "profile-user",
        "profile-admin",
    ];
    let table = roles.map(|ours| {
        ["view", "edit", "admin"].map(|one| takes(one, &format!("secret-rotation-{ours}")))
    });
    assert_eq!(
        table,
        [
            [true, true, true],
            [false, true, true],
            [false, false, false],
            [false, false, false],
            [false, false, false],
            [false, false, false]
        ]
    );
    story.end();
}

/// The plain manifests are applied first, all together. This API server does not serve the resources of the Prometheus
/// operator; the golden files contain them.
#[test]
fn the_api_server_accepts_every_render_and_restricted_pods() {
    let story = Story::bare(&[], "{}");
    let deploy = project::root().join("deploy");
    let deploy = deploy.to_string_lossy();
    story.kubectl(&["apply", "--server-side", "-k", &deploy]);
    story.kubectl(&["create", "namespace", "team-search"]);
    story.apply(&json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
        "metadata": {"name": "gvisor"}, "handler": "runsc",
    }));
    let without_operator = [
        "--set",
        "metrics.serviceMonitor.enabled=false,metrics.podMonitor.enabled=false,alerts.enabled=false",
    ];
    let dry_run = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-o",
        "json",
        "-f",
        "-",
    ];
    for (name, values) in chart::cases().expect("there are cases") {
        let on_the_host = name == "host-network";
        let elsewhere: &[&str] = if on_the_host {
            &["--set", "namespaceOverride=team-search"]
        } else {
            &[]
        };
        let rendered = chart::manifests(&values, &[&without_operator, elsewhere].concat());
        let rendered = rendered.expect("it renders");
        let accepted = story.kubectl_as("admin", &dry_run, &rendered);
        let accepted = accepted.unwrap_or_else(|error| panic!("{name}: {error}"));
        let accepted: Value = serde_json::from_str(&accepted).expect("kubectl prints JSON");
        let objects = accepted["items"].as_array().expect("a list");
        let deployment = objects.iter().find(|one| one["kind"] == "Deployment");
        let template = &deployment.expect("there is one")["spec"]["template"];
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "like-the-deployment", "namespace": SYSTEM},
            "spec": template["spec"],
        });
        let pod = story.kubectl_as("admin", &dry_run, &pod.to_string());
        match pod {
            pod if on_the_host => refused(pod, "host namespaces"),
            Err(error) => panic!("{name}: {error}"),
            Ok(_) => {}
        }
        let privileged = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "privileged", "namespace": SYSTEM},
            "spec": {"containers": [{"name": "x", "image": "x"}]},
        });
        refused(
            story.kubectl_as("admin", &dry_run, &privileged.to_string()),
            "violates PodSecurity",
        );
    }
    story.end();
}

//! Metrics over TLS for clients that the API server authorizes, and a self-test that finds what is missing.

use std::fs;
use std::path::{Path, PathBuf};

use secret_rotation_tests::context::one;
use secret_rotation_tests::tls::{Mounted, scrape};
use secret_rotation_tests::{Story, controller};
use serde_json::{Value, json};
use testenv::project;

const SYSTEM: &str = "secret-rotation-system";
const ROLE: &str = "secret-rotation-controller";

#[test]
fn who_may_get_metrics_gets_them_over_tls_and_nobody_else() {
    let mut story = Story::begin("generate: []");
    grant(&story, "reviews", ROLE, &reviews());
    let readers = json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]);
    account(&story, "reader");
    account(&story, "stranger");
    grant(&story, "readers", "reader", &readers);
    let (reader, stranger) = (token(&story, "reader"), token(&story, "stranger"));
    let (mut mounted, arguments) = guarded(&story);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let port = story.start_controller_with(&arguments).metrics_port();
    let first = fs::read_to_string(mounted.certificate()).expect("it was written");

    story.eventually("the reader is served", || {
        status(port, &first, Some(&reader)) == Some(200)
    });
    let (_, _, series) = scrape(port, &first, Some(&reader)).expect("an answer");
    assert!(series.contains("secretrotation_build_info{"), "{series}");
    assert_eq!(status(port, &first, Some(&stranger)), Some(403));
    assert_eq!(status(port, &first, Some("not-a-token")), Some(401));
    let (code, head, _) = scrape(port, &first, None).expect("an answer");
    assert_eq!(code, 401);
    assert!(head.contains("www-authenticate: Bearer realm="), "{head}");
    assert!(story.controllers[0].metrics().is_err(), "no plain HTTP");

    let (passed, lines) = selftest(
        &story,
        &[
            &format!("--metrics-url=https://localhost:{port}/metrics"),
            &format!("--metrics-ca={}", mounted.certificate().display()),
            "--metrics-auth",
        ],
    );
    assert!(passed, "{lines}");
    assert!(
        lines.contains("/metrics, which asks for a token\n"),
        "{lines}"
    );

    let second = mounted.renew();
    story.eventually("the new certificate is served", || {
        status(port, &second, Some(&reader)) == Some(200)
    });
    assert_eq!(
        status(port, &first, Some(&reader)),
        None,
        "the old one is gone"
    );

    story.cluster.pause_apiserver(true).expect("it hangs");
    // Results are cached, and a server that is shutting down may answer another request: use a new token each time.
    let mut tries = 0;
    story.eventually("whoever is unknown is told to come back", || {
        tries += 1;
        status(port, &second, Some(&format!("unheard-of-{tries}"))) == Some(503)
    });
    story.cluster.pause_apiserver(false).expect("it goes on");
    let log = story.controllers[0].log();
    for secret in [reader, stranger, "unheard-of".to_owned()] {
        assert!(!log.contains(&secret), "a token is in the log:\n{log}");
    }
    story.end();
}

#[test]
fn a_self_test_passes_where_all_is_there_and_names_what_is_not() {
    let mut story = Story::begin(&one("healthy"));
    let (metrics, health) = {
        let controller = story.start_controller();
        (controller.metrics_port(), controller.health_port())
    };
    story.eventually("the controller is ready", || {
        story.controllers[0]
            .health("/readyz")
            .is_ok_and(|(code, _)| code == 200)
    });
    let urls = [
        format!("--metrics-url=http://127.0.0.1:{metrics}"),
        format!("--health-url=http://127.0.0.1:{health}"),
    ];
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let (passed, lines) = selftest(&story, &urls);
    assert!(passed, "{lines}");
    let skipped = "skipped  AWS by profile: no AWSAccessProfile exists yet";
    assert_eq!(only("skipped", &lines), [skipped]);

    story.profile(&json!({}));
    let (passed, lines) = selftest(&story, &urls);
    assert!(passed, "{lines}");
    assert_eq!(only("skipped", &lines), [""; 0]);
    for line in [
        "ok       CRD secretrotationoperations at secretrotation.dev/v1alpha1",
        "ok       permission to get, create, update leases in namespace secret-rotation-system",
        "ok       admission policies of approvals",
        "ok       AWS credentials",
        "ok       AWS by profile default, ListSecrets in eu-west-1",
    ] {
        assert!(
            lines.lines().any(|have| have == line),
            "{line} is not in\n{lines}"
        );
    }
    // The following changes break the controller, which is not the subject of this test.
    story.controllers.clear();
    losses(&story);
    story.end();
}

/// Removes one requirement after the other: each time, exactly its line fails.
fn losses(story: &Story) {
    let (passed, lines) = selftest(story, &["--health-url=http://127.0.0.1:1/readyz"]);
    assert!(!passed);
    let failed = only("FAILED", &lines).join("\n");
    assert!(
        failed.starts_with("FAILED   health at http://127.0.0.1:1/readyz: "),
        "{lines}"
    );
    assert!(
        failed.ends_with("check the pods, the Service, and the network policies"),
        "{lines}"
    );

    let nobody = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let (passed, lines) = selftest_with(story, ROLE, &[], &nobody);
    assert!(!passed);
    assert_eq!(
        only("FAILED", &lines),
        [
            "FAILED   AWS credentials: none found; give the ServiceAccount a role, by EKS Pod Identity or by annotation eks.amazonaws.com/role-arn"
        ]
    );

    let role = without_rule(story, "events");
    fails(
        story,
        "FAILED   permission to create, patch events: may not create, patch; bind this ServiceAccount to the roles of deploy/controller/rbac.yaml, or of the chart",
    );
    story
        .cluster
        .replace_text(&role.to_string())
        .expect("it is replaced");

    let guard = "secret-rotation-operations.secretrotation.dev";
    story.kubectl(&["delete", "validatingadmissionpolicybinding", guard]);
    fails(
        story,
        "FAILED   admission policies of approvals: ValidatingAdmissionPolicyBinding secret-rotation-operations.secretrotation.dev does not exist; apply deploy/admission, or no approval counts",
    );
    story
        .cluster
        .apply(&deploy("admission"))
        .expect("it applies");

    scoped(story);

    story.kubectl(&[
        "delete",
        "crd",
        "secretrotationoperations.secretrotation.dev",
    ]);
    fails(
        story,
        "FAILED   CRD secretrotationoperations at secretrotation.dev/v1alpha1: not served; apply deploy/crds, or install the chart with crds.enabled=true",
    );
    story.cluster.apply(&deploy("crds")).expect("it applies");
    story.eventually("the kind is served again", || selftest(story, &[]).0);
}

/// Permissions in one namespace are enough only for a controller that watches only that namespace.
fn scoped(story: &Story) {
    account(story, "scoped");
    let subjects = json!([{"kind": "ServiceAccount", "name": "scoped", "namespace": SYSTEM}]);
    let role = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    for (namespace, role) in [
        (
            secret_rotation_tests::story::TEAM,
            role("ClusterRole", ROLE),
        ),
        (SYSTEM, role("Role", &lease_role(story))),
    ] {
        story.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "scoped", "namespace": namespace}, "roleRef": role, "subjects": subjects,
        }));
    }
    let of_cluster = json!([
        {"apiGroups": ["secretrotation.dev"], "resources": ["awsaccessprofiles"], "verbs": ["get", "list", "watch", "automate"]},
        {"apiGroups": ["secretrotation.dev"], "resources": ["awsaccessprofiles/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingadmissionpolicies", "validatingadmissionpolicybindings"], "verbs": ["get"]},
    ]);
    grant(story, "of-cluster", "scoped", &of_cluster);
    let in_team = format!("--namespace={}", secret_rotation_tests::story::TEAM);
    story.eventually("rights in one namespace are enough for it", || {
        selftest_with(story, "scoped", &[&in_team], &[]).0
    });
    let (passed, lines) = selftest_with(story, "scoped", &[], &[]);
    assert!(!passed);
    let failed = only("FAILED", &lines);
    assert_eq!(failed.len(), 5, "{lines}");
    assert!(
        failed
            .iter()
            .all(|line| line.starts_with("FAILED   permission to ")),
        "{lines}"
    );
}

/// Waits until exactly one line fails, because a change of permissions takes a moment.
fn fails(story: &Story, line: &str) {
    let mut last = String::new();
    story.eventually(line, || {
        let (passed, lines) = selftest(story, &[]);
        last = lines;
        !passed && only("FAILED", &last) == [line]
    });
}

fn selftest(story: &Story, arguments: &[&str]) -> (bool, String) {
    selftest_with(story, ROLE, arguments, &[])
}

/// Runs the self-test as this account, and returns whether it passed, and its lines.
fn selftest_with(
    story: &Story,
    account: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (bool, String) {
    let kubeconfig = story.cluster.service_account(SYSTEM, account);
    let kubeconfig = kubeconfig.expect("the ServiceAccount exists");
    let output = controller::command(&kubeconfig, &story.aws.url())
        .arg("selftest")
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code().is_some_and(|code| code < 2), "{lines}");
    (output.status.success(), lines)
}

fn only<'a>(finding: &str, lines: &'a str) -> Vec<&'a str> {
    let lines = lines.lines();
    lines.filter(|line| line.starts_with(finding)).collect()
}

/// Returns a mounted certificate, and the arguments that protect metrics with it.
fn guarded(story: &Story) -> (Mounted, [String; 3]) {
    let folder = story.cluster.folder().join("metrics-tls");
    fs::create_dir(&folder).expect("a folder");
    let mounted = Mounted::in_folder(&folder);
    let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let arguments = [
        file("metrics-tls-cert", &mounted.certificate()),
        file("metrics-tls-key", &mounted.key()),
        "--metrics-auth".to_owned(),
    ];
    (mounted, arguments)
}

fn status(port: u16, certificate: &str, token: Option<&str>) -> Option<u16> {
    let answer = scrape(port, certificate, token);
    answer.ok().map(|(status, ..)| status)
}

/// Applies what the chart adds with `metrics.auth`.
fn reviews() -> Value {
    json!([
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ])
}

fn account(story: &Story, name: &str) {
    story.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SYSTEM}}));
}

/// Applies a cluster role with these rules, bound to an account.
fn grant(story: &Story, name: &str, account: &str, rules: &Value) {
    let api = "rbac.authorization.k8s.io";
    story.apply(&json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}));
    story.apply(&json!({
        "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}],
    }));
}

/// Removes the rule about a resource from the controller's role, and returns the previous role.
fn without_rule(story: &Story, resource: &str) -> Value {
    let text = story.kubectl(&["get", "clusterrole", ROLE, "-o", "json"]);
    let mut role: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    role["metadata"]["resourceVersion"] = Value::Null;
    let before = role.clone();
    let rules = role["rules"].as_array_mut().expect("it has rules");
    rules.retain(|rule| rule["resources"] != json!([resource]));
    assert_ne!(role, before, "a rule is about {resource}");
    story
        .cluster
        .replace_text(&role.to_string())
        .expect("it is replaced");
    before
}

/// Returns the name of the role for the lease.
fn lease_role(story: &Story) -> String {
    let text = story.kubectl(&[
        "get",
        "role",
        "-n",
        SYSTEM,
        "-o",
        "jsonpath={.items[*].metadata.name}",
    ]);
    text.trim().to_owned()
}

fn token(story: &Story, account: &str) -> String {
    let file = story.cluster.service_account(SYSTEM, account);
    let text = fs::read_to_string(file.expect("it exists")).expect("it can be read");
    let config: Value = serde_json::from_str(&text).expect("JSON");
    let token = config["users"][0]["user"]["token"].as_str();
    token.expect("it holds a token").to_owned()
}

fn deploy(path: &str) -> PathBuf {
    project::root().join("deploy").join(path)
}

//! The kubectl plugin against a real API server with a running controller.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use secret_rotation_tests::by_hand::holder;
use secret_rotation_tests::context::one;
use secret_rotation_tests::forward_proxy::Proxy;
use secret_rotation_tests::objects::{condition, finding, state, text};
use secret_rotation_tests::people::{bound, bound_everywhere, bound_here, role};
use secret_rotation_tests::plugin::{self, command, run};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story};
use serde_json::{Value, json};

/// alice edits, operates and uses the profile; bob approves; mallory may only read; eve has no permissions.
fn roles() -> Vec<Value> {
    let ours = ["secretrotation.dev"];
    let objects = ["secretrotationpolicies", "secretrotationoperations"];
    let view = ["get", "list", "watch"];
    let edit = ["create", "update", "patch", "operate"];
    vec![
        role("editor", &ours, &objects, &[&view[..], &edit[..]].concat()),
        role("viewer", &ours, &objects, &view),
        bound("editors", "editor", &["alice"]),
        bound("viewers", "viewer", &["mallory"]),
        bound_here("approvers", "secret-rotation-approver", &["bob", "alice"]),
        bound_everywhere(
            "default-profile",
            "secret-rotation-profile-user",
            &["alice"],
        ),
    ]
}

const ESTATE: &str = "
    generate:
    - {count: 3, name: 'app/service-{n}', state: healthy}
    - {count: 1, name: app/ledger, state: stuck-empty}
";

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// From detection to the recovered secret, with the plugin alone.
#[test]
fn a_stuck_secret_is_seen_explained_cleared_and_rotated() {
    let mut story = Story::observing(ESTATE);
    let checked = story
        .plugin(&["check", "apps", "--wait", "--timeout", "2m"])
        .succeeds();
    has(
        &checked,
        &["secretrotationpolicy.secretrotation.dev/apps checked: RotationStuck"],
    );
    sees(&story);
    let versions = story.inspect("app/ledger");
    let pending = holder(&versions, "AWSPENDING").expect("something is pending");

    let manifest = story
        .plugin(&["clear", "app/ledger", "--rotate", "--dry-run"])
        .succeeds();
    has(
        &manifest,
        &["action: ClearAndRotate", &pending, "requestedBy: admin"],
    );
    assert_eq!(story.operations(), Vec::<Value>::new());
    let judged = story
        .plugin(&["clear", "app/ledger", "--rotate", "--dry-run=server"])
        .succeeds();
    has(
        &judged,
        &[
            "secretrotationoperation.secretrotation.dev/apps-manual-",
            "created (server dry run)",
        ],
    );
    assert_eq!(story.operations(), Vec::<Value>::new());

    let clear = [
        "clear",
        "app/ledger",
        "--rotate",
        "--confirm-after",
        "30s",
        "--wait",
        "--timeout",
        "5m",
        "-n",
        TEAM,
    ];
    let mut clear = command(&story.cluster.kubeconfig("admin"), &clear);
    let clear = clear
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    story.while_time_flies("the operation has ended", 20.0, || {
        story
            .operations()
            .iter()
            .any(|one| state(one) == "Succeeded")
    });
    let clear = clear.wait_with_output().expect("it ends");
    let (out, err) = (
        String::from_utf8_lossy(&clear.stdout),
        String::from_utf8_lossy(&clear.stderr),
    );
    assert!(clear.status.success(), "{out}{err}");
    has(
        &err,
        &[
            "This happens only if AWSCURRENT is on",
            &format!("AWSPENDING is on {pending}"),
            "Pin ",
            "Applied",
        ],
    );
    has(&out, &[" created\n", " succeeded: "]);
    story
        .plugin(&["check", "apps", "--wait", "--timeout", "2m"])
        .succeeds();
    assert_eq!(story.plugin(&["status", "apps", "--exit-code"]).code, 0);
    remembers(&story);
    completes(&mut story);
    story.end();
}

fn sees(story: &Story) {
    let tree = story.plugin(&["status"]).succeeds();
    has(
        &tree,
        &[
            "team-payments/apps",
            "Healthy: ✖ RotationStuck",
            "✔ 3 healthy",
            "✖ 1 stuck",
            "└── app/ledger",
            "✖ Stuck",
            "ObserveOnly",
        ],
    );
    assert!(!tree.contains('\u{1b}'), "escape codes in a pipe: {tree:?}");
    assert_eq!(story.plugin(&["status", "--exit-code"]).code, 1);
    let ascii = story
        .plugin(&["status", "--ascii", "-o", "wide"])
        .succeeds();
    assert!(ascii.is_ascii(), "{ascii}");
    let object = story.plugin(&["status", "apps", "-o", "json"]).succeeds();
    let object: Value = serde_json::from_str(&object).expect("it is JSON");
    assert_eq!(object["status"]["findings"][0]["name"], "app/ledger");
    let list = story.plugin(&["status", "-o", "yaml"]).succeeds();
    has(&list, &["kind: List", "kind: SecretRotationPolicy"]);
    let told = story.plugin(&["describe", "apps"]).succeeds();
    has(
        &told,
        &[
            "Healthy=False RotationStuck",
            "app/ledger in eu-west-1",
            "set spec.mode: Remediate",
            "RotationStuck: ",
        ],
    );
    let stuck = story.plugin(&["rotate", "app/ledger"]).fails();
    has(
        &stuck,
        &["app/ledger is stuck", "clear app/ledger --rotate"],
    );
}

fn remembers(story: &Story) {
    let history = story.plugin(&["history", "app/ledger"]).succeeds();
    let lines: Vec<_> = history.lines().collect();
    assert_eq!(lines.len(), 2, "{history}");
    has(
        lines[1],
        &[
            "apps-manual-",
            "ClearAndRotate",
            "app/ledger",
            "Succeeded",
            "admin",
        ],
    );
    let name = text(&story.operations()[0]["metadata"]["name"]);
    let told = story.plugin(&["describe", &name]).succeeds();
    has(
        &told,
        &[
            "Requested by:  admin",
            "Journal of",
            "Unpin",
            "Labels after",
            "AWSCURRENT",
        ],
    );
    let healthy = story
        .plugin(&["revert", "app/ledger", "--region", "eu-west-1"])
        .fails();
    has(
        &healthy,
        &[
            "the status of the policy does not report it",
            "--previous-version ID",
        ],
    );
    // With AWS credentials of the user, the plugin reads the labels.
    let revert = ["revert", "app/ledger", "--region", "eu-west-1", "--dry-run"];
    let manifest = story.plugin_with_aws(&revert).succeeds();
    has(
        &manifest,
        &[
            "action: RevertToPrevious",
            "previousVersionId: ",
            "currentVersionId: ",
        ],
    );
}

/// Completion as kubectl calls it, and as a shell does.
fn completes(story: &mut Story) {
    let complete = |words: &[&str]| {
        let words = [&["__complete", "--"], words].concat();
        run(&mut command(&story.cluster.kubeconfig("admin"), &words)).succeeds()
    };
    assert_eq!(
        complete(&["-n", TEAM, "suspend", "a"]),
        "apps\tpolicy, Observe\n:4\n"
    );
    has(&complete(&["hist"]), &["history\t"]);
    assert_eq!(
        complete(&["-n", "nowhere", "suspend", ""]).lines().last(),
        Some(":4")
    );
    let script =
        testenv::project::root().join("deploy/completion/kubectl_complete-secret_rotation");
    let folder = plugin::binary()
        .parent()
        .expect("a folder")
        .display()
        .to_string();
    let mut kubectl = std::process::Command::new("sh");
    kubectl
        .arg(&script)
        .args(["status", "-n", TEAM, ""])
        .env("KUBECONFIG", story.cluster.kubeconfig("admin"))
        .env(
            "PATH",
            format!("{folder}:{}", std::env::var("PATH").unwrap_or_default()),
        );
    has(&run(&mut kubectl).succeeds(), &["apps\tpolicy"]);
    let kubeconfig = story.cluster.kubeconfig("admin");
    let script_for = |shell| run(&mut command(&kubeconfig, &["completion", shell])).succeeds();
    let printed = script_for("kubectl");
    assert_eq!(Some(printed), std::fs::read_to_string(&script).ok());
    has(
        &script_for("bash"),
        &["complete -o", "kubectl-secret_rotation"],
    );
}

/// The output of `--watch` during changes, without a terminal.
#[test]
fn a_watch_without_a_terminal_is_a_line_for_each_change() {
    let mut story = Story::observing(ESTATE);
    story.check("apps");
    let mut watch = command(
        &story.cluster.kubeconfig("admin"),
        &["status", "-w", "-n", TEAM],
    );
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    let first = next();
    has(
        &first,
        &["Z team-payments/apps: Observe; ", "Healthy: 3, Stuck: 1"],
    );
    assert!(!first.contains('\u{1b}'), "{first:?}");
    has(
        &next(),
        &["team-payments/apps app/ledger in eu-west-1: Stuck; ObserveOnly"],
    );
    story.plugin(&["suspend", "apps"]).succeeds();
    has(&next(), &["team-payments/apps: Observe (suspended); "]);
    story.cluster.kill_apiserver();
    while !next().contains("connection lost: the API server https://127.0.0.1") {}
    story.cluster.restart_apiserver().expect("it starts again");
    while !next().contains("connected again") {}
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
    story.end();
}

/// Starts a story in which a clear needs the approval of another person.
fn two_people() -> Story {
    Story::arranged(ESTATE)
        .roles(&roles())
        .profile(&json!({"approvalRequiredFor": ["ClearPending"]}))
        .policy(&Policy::observing("apps"))
        .start()
}

/// The API server refuses users without permission; approvers decide under their own names.
#[test]
fn another_person_approves_and_nobody_their_own_request() {
    let story = two_people();
    story.until_approvals_count();
    story.check("apps");
    let asked = story
        .plugin_as(
            "alice",
            &[
                "clear",
                "app/ledger",
                "--confirm-after",
                "30s",
                "--reason",
                "a story",
            ],
        )
        .succeeds();
    has(&asked, &[" created\n"]);
    let again = story.plugin_as(
        "alice",
        &[
            "clear",
            "app/ledger",
            "--confirm-after",
            "30s",
            "--reason",
            "another story",
        ],
    );
    has(&again.err, &["keeps its first reason"]);
    has(&again.succeeds(), &["unchanged, it is in progress already"]);
    let name = text(&story.operations()[0]["metadata"]["name"]);
    story.eventually("it waits for a person", || {
        state(&story.get("sro", &name)) == "AwaitingApproval"
    });

    let own = story
        .plugin_as("alice", &["approve", &name, "-m", "I am sure"])
        .fails();
    has(
        &own,
        &[
            "the API server refused the request: alice requested this operation and cannot approve it; another person must approve it",
        ],
    );
    let reader = story
        .plugin_as("mallory", &["deny", &name, "-m", "no"])
        .fails();
    has(
        &reader,
        &[
            "you do not have permission to patch secretrotationoperations.secretrotation.dev",
            "kubectl auth can-i patch secretrotationoperations.secretrotation.dev -n team-payments",
        ],
    );
    let approved = story
        .plugin_as("bob", &["approve", &name, "-m", "checked"])
        .succeeds();
    assert_eq!(
        approved,
        format!("secretrotationoperation.secretrotation.dev/{name} approved\n")
    );
    let twice = story
        .plugin_as("bob", &["deny", &name, "-m", "on second thoughts"])
        .fails();
    has(
        &twice,
        &["bob has already decided about operation", "Approve"],
    );
    story.while_time_flies("it is done", 20.0, || {
        state(&story.get("sro", &name)) == "Succeeded"
    });
    assert_eq!(
        condition(&story.get("sro", &name), "Approved")["message"],
        "approved by bob"
    );

    // The clear can be undone: the pin is known from the operation that set it.
    story.check("apps");
    let policy = story.get("srp", "apps");
    assert_eq!(finding(&policy, "app/ledger")["state"], "Overdue");
    let undo = story
        .plugin(&["undo", "app/ledger", "--dry-run"])
        .succeeds();
    let pinned = secret_rotation_tests::by_hand::pinned(&story.inspect("app/ledger"));
    has(
        &undo,
        &[
            "action: RestorePending",
            &format!("pinnedVersionId: {}", pinned.expect("it is pinned")),
        ],
    );
    story.end();
}

/// The API server has a name that only the proxy resolves, as for kubectl.
#[test]
fn the_plugin_goes_through_proxies_where_kubectl_does() {
    let story = Story::begin(&one("healthy"));
    let proxy = Proxy::start(None);
    let port = story.cluster.url();
    let port = port
        .rsplit(':')
        .next()
        .expect("a port")
        .trim_end_matches('/')
        .to_owned();
    let file = story.cluster.folder().join("far.kubeconfig");
    let through = |server: &str, proxy_url: Option<&str>, variables: &[(&str, &str)]| {
        let mut cluster =
            json!({"server": format!("https://{server}:{port}"), "insecure-skip-tls-verify": true});
        if let Some(url) = proxy_url {
            cluster["proxy-url"] = url.into();
        }
        let admin = std::fs::read_to_string(story.cluster.kubeconfig("admin")).expect("a file");
        let mut config: Value = serde_saphyr::from_str(&admin).expect("YAML");
        config["clusters"][0]["cluster"] = cluster;
        std::fs::write(&file, config.to_string()).expect("it is written");
        let mut command = command(&file, &["check", "none", "-n", TEAM]);
        run(command.envs(variables.iter().copied()))
    };
    let missing = "no policy none exists";
    let (http, socks) = (proxy.url("http"), proxy.url("socks5"));
    for (url, how) in [(&http, "CONNECT"), (&socks, "SOCKS")] {
        for variable in ["HTTPS_PROXY", "https_proxy"] {
            let seen = through("api.test", None, &[(variable, url.as_str())]).fails();
            assert!(seen.contains(missing), "{variable}={url}: {seen}");
            assert_eq!(proxy.asked()[0], format!("{how} api.test:{port}"));
        }
        let seen = through("api.test", Some(url.as_str()), &[("NO_PROXY", "*")]).fails();
        assert!(seen.contains(missing), "proxy-url {url}: {seen}");
        assert_eq!(proxy.asked()[0], format!("{how} api.test:{port}"));
    }
    // Requests to this machine, and to hosts in NO_PROXY, do not use a proxy.
    let none = [("HTTPS_PROXY", http.as_str())];
    has(&through("127.0.0.1", None, &none).fails(), &[missing]);
    let exempt = [
        ("HTTPS_PROXY", http.as_str()),
        ("NO_PROXY", "x.test,.test,"),
    ];
    has(
        &through("api.test", None, &exempt).fails(),
        &["cannot be reached: "],
    );
    assert_eq!(proxy.asked(), Vec::<String>::new());

    let closed = Proxy::start(Some("YTpi"));
    let refused = through("api.test", Some(&closed.url("http")), &[]).fails();
    has(
        &refused,
        &[
            "cannot be reached through proxy http://127.0.0.1:",
            "of proxy-url in the kubeconfig: ",
            "proxy authorization required",
        ],
    );
    let known = closed.url("http").replace("://", "://a:b@");
    has(&through("api.test", Some(&known), &[]).fails(), &[missing]);
    story.end();
}

/// Approvers can see what waits for a decision, without permissions on policies.
#[test]
fn an_approver_describes_an_operation_without_rights_on_policies() {
    let story = two_people();
    story.check("apps");
    let arn = text(&finding(&story.get("srp", "apps"), "app/ledger")["arn"]);
    let partial = arn.rsplit_once('-').expect("a suffix").0.to_owned();
    for form in [&arn, &partial] {
        let manifest = story
            .plugin(&["rotate", "--retry", form, "--dry-run"])
            .succeeds();
        has(
            &manifest,
            &[
                "action: RetryRotation",
                "name: app/ledger",
                "region: eu-west-1",
            ],
        );
    }
    let foreign = partial.replace("eu-west-1", "eu-central-1");
    let refused = story.plugin(&["clear", &foreign, "--region", "eu-west-1"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    has(
        &refused.err,
        &["the ARN is in region eu-central-1, but --region is eu-west-1"],
    );
    story
        .plugin(&["clear", &arn, "--reason", "a story"])
        .succeeds();
    let name = text(&story.operations()[0]["metadata"]["name"]);
    let told = story.plugin_as("bob", &["describe", &name]).succeeds();
    has(&told, &["ClearPending", "app/ledger"]);
    let hidden = story.plugin_as("bob", &["describe", "nothing"]).fails();
    has(
        &hidden,
        &["you do not have permission to get secretrotationpolicies"],
    );
    story.end();
}

/// Every error for something that is missing has a hint.
#[test]
fn every_failure_says_what_to_do() {
    let story = Story::arranged(ESTATE)
        .roles(&roles())
        .policy(&Policy::observing("payments"))
        .policy(&Policy::observing("search"))
        .ready();
    let admin = story.cluster.kubeconfig("admin");

    let missing = run(command(&admin, &["status"]).env("KUBECONFIG", "/nowhere/config")).fails();
    has(
        &missing,
        &[
            "no kubeconfig found: /nowhere/config does not exist",
            "--kubeconfig FILE",
        ],
    );
    let context = story.plugin(&["status", "--context", "her"]).fails();
    has(
        &context,
        &[
            "no context her exists in",
            "existing contexts: here; select one with --context NAME",
        ],
    );
    let name = story.plugin(&["status", "serach"]).fails();
    has(
        &name,
        &[
            "no policy serach exists in namespace team-payments",
            "existing names: search, payments",
        ],
    );
    let name = story.plugin(&["describe", "paymets"]).fails();
    has(
        &name,
        &[
            "neither a policy nor an operation is named paymets",
            "existing names: payments, search",
        ],
    );
    let forbidden = story.plugin_as("eve", &["status"]).fails();
    has(
        &forbidden,
        &[
            "you do not have permission to list secretrotationpolicies.secretrotation.dev in namespace team-payments",
            "User \"eve\" cannot list resource",
            "`kubectl auth can-i list secretrotationpolicies.secretrotation.dev -n team-payments`",
        ],
    );
    let secret = story.plugin(&["clear", "other/secret"]).fails();
    has(
        &secret,
        &["no policy of namespace team-payments reports or selects other/secret"],
    );

    let other = |server: &str, token: &str| {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "other",
            "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": true}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "other", "context": {"cluster": "c", "user": "u"}}],
        });
        let file = story.cluster.folder().join("other.kubeconfig");
        std::fs::write(&file, config.to_string()).expect("it is written");
        run(&mut command(&file, &["status"]))
    };
    let stranger = other(&story.cluster.url(), "nobody").fails();
    has(
        &stranger,
        &[
            "of context other does not accept your credentials",
            "log in again",
        ],
    );
    let port = testenv::process::free_port().expect("a port");
    let nobody = other(&format!("https://127.0.0.1:{port}"), "nobody").fails();
    has(
        &nobody,
        &["of context other cannot be reached", "kubectl cluster-info"],
    );

    story.kubectl(&[
        "delete",
        "crd",
        "--wait=false",
        "secretrotationpolicies.secretrotation.dev",
    ]);
    story.eventually("the kind is gone", || {
        story
            .plugin(&["status"])
            .err
            .contains("the CRDs are not installed")
    });
    let absent = story.plugin(&["status"]).fails();
    has(
        &absent,
        &[
            "does not know secretrotationpolicies.secretrotation.dev",
            "kubectl apply --server-side -f deploy/crds",
        ],
    );
    assert_eq!(story.plugin(&["status", "--exit-code"]).code, 3);
}

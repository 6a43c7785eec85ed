//! The runbooks: every command runs in the state that the alert of its page means, and prints what the page shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use secret_rotation_simulator::{Fault, FaultKind};
use secret_rotation_tests::aws_cli::{AwsCli, VERSION};
use secret_rotation_tests::by_hand::holder;
use secret_rotation_tests::objects::{count, is_finished, state, text, verdict};
use secret_rotation_tests::prometheus::Prometheus;
use secret_rotation_tests::runbooks::{self, Runbook, Step};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Controller, Policy, Story, plugin, rules};
use serde_json::{Value, json};
use testenv::assets::Assets;
use testenv::cluster::ADMIN;
use testenv::project;

/// The headings that every page has, in this order, and the ones that it may have.
const HEADINGS: [&str; 5] = [
    "## Impact",
    "## First command",
    "## What to do",
    "## How to see that it worked",
    "## Escalation",
];

/// Above the commands that show whether the problem is gone.
const EVIDENCE: &str = HEADINGS[3];

/// A heading that some pages have before the last two.
const WITHOUT_PLUGIN: &str = "## Without the plugin";

/// Why a command is not run.
const SKIPPED: [&str; 1] = ["the-aws-cli-checks-it"];

/// What is installed, and who runs the controller.
const SYSTEM: &str = "secret-rotation-system";

const CONTROLLER: &str = "secret-rotation-controller";

/// The role that lets the controller write its lease.
const LEASES: &str = "secret-rotation-controller-leases";

const IMAGE: &str = "ghcr.io/secretrotation/secret-rotation-controller:0.1.0";

const POD: &str = "secret-rotation-controller-6d4f8b7c9d-k8vzt";

/// Commands on secrets: one policy for each page, so that no page changes what another shows.
const SECRETS: &str = "
functions:
  no-retries: {fail: testSecret}
secrets:
- name: payments/api-token
  created: -400d
  lastChanged: -30h
  versions:
  - {id: 5f0c1a52-6b1e-4c55-9a3f-0e2b8a1d7c01, labels: [AWSCURRENT], created: -40d}
  - {id: 8a7d3e90-2f44-4e0b-b1c6-7d5e9f3a2b02, labels: [AWSPENDING, AWSPREVIOUS], created: -31h}
  rotation: {function: ok-api-token, everyDays: 30, lastRotated: -31h, next: +20d}
- name: late/ledger
  created: -400d
  lastChanged: -90h
  versions:
  - {id: 60666666-6666-4666-8666-666666666666, labels: [AWSCURRENT], created: -40d}
  - {id: 70777777-7777-4777-8777-777777777777, labels: [AWSPENDING], created: -90h}
  rotation: {function: ok-late-ledger, everyDays: 30, lastRotated: -40d, next: -10d}
- name: late/db
  created: -400d
  lastChanged: -90h
  versions:
  - {id: 61666666-6666-4666-8666-666666666666, labels: [AWSCURRENT], created: -40d}
  - {id: 71777777-7777-4777-8777-777777777777, labels: [AWSPENDING], created: -90h}
  rotation: {function: ok-late-db, everyDays: 30, lastRotated: -40d, next: -10d}
- name: late/queue
  created: -400d
  lastChanged: -90h
  versions:
  - {id: 62666666-6666-4666-8666-666666666666, labels: [AWSCURRENT], created: -40d}
  - {id: 72777777-7777-4777-8777-777777777777, labels: [AWSPENDING], empty: true}
  rotation: {function: ok-late-queue, everyDays: 30, lastRotated: -40d, next: -10d}
- name: web/token
  created: -400d
  lastChanged: -9h
  versions:
  - {id: 44444444-4444-4444-4444-444444444444, labels: [AWSPENDING], created: -20d}
  rotation: {function: ok-token, everyDays: 30, next: +10d}
generate:
- {count: 12, name: 'payments/service-{n}', state: healthy, function: 'ok-service-{n}'}
- {count: 1, name: payments/ledger, state: stuck-empty, function: ok-ledger}
- {count: 1, name: payments/partner-key, state: stuck-valued, function: ok-partner-key}
- {count: 1, name: payments/db, state: stuck-after-set, function: ok-db}
- {count: 1, name: payments/batch, state: stuck-valued, function: ok-batch}
- {count: 1, name: payments/mail, state: stuck-valued, function: ok-mail}
- {count: 1, name: payments/queue, state: stuck-empty, function: ok-queue}
- {count: 1, name: web/session, state: broken, function: ok-session}
- {count: 2, name: 'reports/daily-{n}', state: overdue, function: 'ok-daily-{n}'}
- {count: 1, name: archive/old, state: deleted, function: ok-old}
- {count: 1, name: archive/older, state: deleted, function: ok-older}
- {count: 1, name: billing/ledger, state: stuck-empty, function: ok-billing}
- {count: 1, name: billing/db, state: stuck-empty, function: ok-billing-db}
- {count: 1, name: billing/cache, state: stuck-empty, function: ok-billing-cache}
- {count: 6, name: 'orders/shard-{n}', state: stuck-valued, function: ok-orders}
- {count: 1, name: search/index, state: stuck-valued, function: no-retries}
- {count: 4, name: 'inventory/shop-{n}', state: stuck-empty, function: 'fail-testSecret-{n}'}
- {count: 1, name: legacy/ftp, state: disabled, function: ok-ftp}
- {count: 1, name: catalog/main, state: healthy, function: ok-main}
- {count: 1, name: frozen/db, state: stuck-valued, function: ok-frozen}
";

/// Secrets of a partner who stops accepting their values on `DATE`.
const EXPIRING: &str = "
secrets:
- name: partner/key
  created: -400d
  lastChanged: -20d
  tags: {expires-at: 'DATE'}
  versions:
  - {id: 11111111-1111-4111-8111-111111111111, labels: [AWSCURRENT], created: -20d}
  rotation: {function: ok-key, everyDays: 30, lastRotated: -20d, next: +10d}
- name: partner/other
  created: -400d
  lastChanged: -20d
  tags: {expires-at: 'DATE'}
  versions:
  - {id: 22222222-2222-4222-8222-222222222222, labels: [AWSCURRENT], created: -20d}
  rotation: {function: ok-other, everyDays: 30, lastRotated: -20d, next: +10d}
- name: partner/sftp
  created: -400d
  lastChanged: -20d
  tags: {expires-at: 'DATE'}
  versions:
  - {id: 33333333-3333-4333-8333-333333333333, labels: [AWSCURRENT], created: -20d}
";

/// The environment variables by which EKS gives a pod its role (IRSA). The service account has the role in an annotation.
const IRSA: [(&str, &str); 2] = [
    (
        "AWS_ROLE_ARN",
        "arn:aws:iam::111122223333:role/secret-rotation",
    ),
    (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
    ),
];

/// A cluster, an account and a controller in which pages are followed.
struct Stage {
    story: Story,
    prometheus: Prometheus,
    folder: PathBuf,
    followed: BTreeSet<&'static str>,
    complaints: String,
}

impl Stage {
    fn begin(arguments: &[&str]) -> Self {
        let mut story = Story::begin(SECRETS);
        let port = story.start_controller_with(arguments).metrics_port();
        let folder = story.cluster.folder().join("runbooks");
        fs::create_dir_all(folder.join("prometheus")).expect("a folder");
        fs::write(folder.join("new-value.txt"), "a new value").expect("a file");
        let prometheus =
            Prometheus::start(&folder.join("prometheus"), &[port]).expect("Prometheus starts");
        let deployment = project::root().join("deploy/controller/deployment.yaml");
        story
            .cluster
            .apply(&deployment)
            .expect("the Deployment applies");
        let stage = Self {
            story,
            prometheus,
            folder,
            followed: BTreeSet::new(),
            complaints: String::new(),
        };
        stage.replicas(2);
        stage.pod(&json!({"phase": "Running", "containerStatuses": [{
            "name": "controller", "image": IMAGE, "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}},
        }]}));
        stage
    }

    /// Reports so many replicas of the Deployment as ready.
    fn replicas(&self, number: u64) {
        let status = json!({"status": {
            "observedGeneration": 1,
            "replicas": 2,
            "updatedReplicas": 2,
            "readyReplicas": number,
            "availableReplicas": number,
        }});
        let patch = [
            "patch",
            "deployment",
            CONTROLLER,
            "-n",
            SYSTEM,
            "--subresource=status",
        ];
        let status = status.to_string();
        let patch = [&patch[..], &["--type=merge", "-p", &status]].concat();
        self.story.kubectl(&patch);
    }

    /// Makes the pod of the controller, which no node runs, and writes its status.
    fn pod(&self, status: &Value) {
        self.story.apply(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": SYSTEM, "labels": {"app.kubernetes.io/name": CONTROLLER}},
            "spec": {
                "serviceAccountName": CONTROLLER,
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "controller",
                    "image": IMAGE,
                    "env": IRSA.map(|(name, value)| json!({"name": name, "value": value})),
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        }));
        let status = json!({ "status": status }).to_string();
        let patch = ["patch", "pod", POD, "-n", SYSTEM, "--subresource=status"];
        let patch = [&patch[..], &["--type=merge", "-p", &status]].concat();
        self.story.kubectl(&patch);
    }

    /// Waits until an alert fires.
    fn fires(&self, alert: &str) {
        self.story.eventually(&format!("{alert} fires"), || {
            self.prometheus.firing().contains(alert)
        });
    }

    /// Follows the page of an alert while it fires.
    fn follow(&mut self, alert: &'static str, words: &[(&str, &str)]) {
        self.follow_and_fix(alert, words, |_| ());
    }

    /// Follows the page of an alert while it fires, and fixes the cause before the commands that show that it worked.
    fn follow_and_fix(
        &mut self,
        alert: &'static str,
        words: &[(&str, &str)],
        fix: impl FnOnce(&Story),
    ) {
        if SILENT.iter().all(|(silent, _)| *silent != alert) {
            self.fires(alert);
        }
        self.followed.insert(alert);
        let page = page_of(alert);
        let steps = page.steps().unwrap_or_else(|why| panic!("{why}"));
        let mut fix = Some(fix);
        for step in steps.iter().filter(|step| step.skipped.is_none()) {
            if step.heading == EVIDENCE
                && let Some(fix) = fix.take()
            {
                fix(&self.story);
            }
            let mut all: BTreeMap<String, String> = [
                ("NAMESPACE", TEAM),
                ("CONTROLLER_NAMESPACE", SYSTEM),
                ("REGION", "eu-west-1"),
                ("PROFILE", "default"),
                ("POD", POD),
                ("TOKEN", "fixed-1"),
            ]
            .iter()
            .chain(words)
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
            all.extend(step.words.clone());
            self.find_versions(&mut all);
            self.find_operation(&mut all);
            if let Err(why) = self.run(step, &all) {
                let _ = writeln!(self.complaints, "--- {}: {why}", step.place);
            }
        }
        if let Some(fix) = fix {
            fix(&self.story);
        }
    }

    /// Versions of a secret, as the last output shows them to a reader.
    fn find_versions(&self, words: &mut BTreeMap<String, String>) {
        let versions = words
            .get("SECRET")
            .and_then(|secret| self.story.aws.inspect(secret));
        let Some(versions) = versions else { return };
        for (word, label) in [("CURRENT", "AWSCURRENT"), ("PENDING", "AWSPENDING")] {
            if let Some(version) = holder(&versions, label) {
                words.entry(word.to_owned()).or_insert(version);
            }
        }
    }

    /// The newest unfinished operation of the policy, else the newest of all.
    fn find_operation(&self, words: &mut BTreeMap<String, String>) {
        let Some(policy) = words.get("POLICY") else {
            return;
        };
        let mut operations = self.story.operations();
        operations.retain(|one| one["spec"]["policyRef"]["name"] == **policy);
        if let Some(secret) = words.get("SECRET") {
            let of_secret = |one: &Value| one.to_string().contains(secret.as_str());
            if operations.iter().any(of_secret) {
                operations.retain(of_secret);
            }
        }
        operations.sort_by_key(|one| !is_finished(one));
        if let Some(operation) = operations.last() {
            let name = text(&operation["metadata"]["name"]);
            words.entry("OPERATION".to_owned()).or_insert(name);
        }
    }

    /// Runs a command as a reader does. A command that waits gets a clock of AWS that leaps.
    fn run(&self, step: &Step, words: &BTreeMap<String, String>) -> Result<(), String> {
        let script = runbooks::with_words(&step.script, words)?;
        let out = self.folder.join("out");
        let file = fs::File::create(&out).map_err(|error| error.to_string())?;
        let log = self.folder.join("log");
        let lines = self.story.controllers.last().map(Controller::log);
        fs::write(&log, lines.unwrap_or_default()).map_err(|error| error.to_string())?;
        let mut shell = Command::new("bash")
            .args(["-c", &format!("{}{script}", Self::head(&log))])
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(|error| error.to_string())?)
            .stderr(file)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut status = None;
        let mut ended = || {
            status = shell.try_wait().expect("it is a child of this process");
            status.is_some()
        };
        if script.contains("--wait") && !script.contains(" check ") {
            self.story
                .while_time_flies(&format!("{script} ends"), 300.0, ended);
        } else {
            self.story.eventually(&format!("{script} ends"), &mut ended);
        }
        let printed = fs::read_to_string(&out).map_err(|error| error.to_string())?;
        let code = status.and_then(|status| status.code());
        let context = format!("$ {script}{printed}exit status {code:?}");
        if std::env::var_os("RUNBOOKS_PRINT").is_some() {
            eprintln!("=== {}\n{context}", step.place);
        }
        if code != Some(step.status) {
            return Err(format!("expected status {}\n{context}", step.status));
        }
        let has_aws = AwsCli::locate("").is_ok() || !script.contains("aws ");
        let lacking = runbooks::lacking(&step.shows, &printed);
        if has_aws && !lacking.is_empty() {
            return Err(format!("not printed: {lacking:#?}\n{context}"));
        }
        Ok(())
    }

    /// What a shell needs before it runs a command: the AWS CLI, and logs of a pod that no node runs.
    fn head(log: &Path) -> String {
        let kubectl = Assets::locate().expect("kubectl").kubectl;
        let kubectl = kubectl.display();
        let aws = match AwsCli::locate("") {
            Ok(cli) => cli.function(""),
            Err(error) => {
                eprintln!("SKIPPED: the AWS CLI {VERSION} is missing: {error:#}");
                "aws() { :; }\n".to_owned()
            }
        };
        // The API server looks for the pods and their node. What a node would answer is the log of the process.
        let logs = format!(
            r#"
kubectl() {{
  if [ "$1" != logs ]; then '{kubectl}' "$@"; return; fi
  local said
  said="$('{kubectl}' "$@" 2>&1)" || true
  case "$said" in ""|*"does not have a host assigned"*) tail -n 400 '{}' ;; *) echo "$said"; return 1 ;; esac
}}
set -euo pipefail
"#,
            log.display()
        );
        aws + &logs
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let kubectl = Assets::locate().expect("kubectl").kubectl;
        let folders = [kubectl.parent(), plugin::binary().parent()];
        let mut path: Vec<PathBuf> = folders.into_iter().flatten().map(Into::into).collect();
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let path = std::env::join_paths(path).expect("no colon is in a folder");
        let cluster = &self.story.cluster;
        vec![
            ("PATH", path.into_string().expect("UTF-8")),
            (
                "KUBECONFIG",
                cluster.kubeconfig(ADMIN).display().to_string(),
            ),
            (
                "KUBECACHEDIR",
                self.folder.join("cache").display().to_string(),
            ),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", self.folder.display().to_string()),
            ("AWS_ENDPOINT_URL", self.story.aws.url()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "example".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Reports everything that the pages promise and that did not come true.
    fn end(self, pages: &[&'static str]) {
        assert_eq!(self.followed, pages.iter().copied().collect());
        assert!(self.complaints.is_empty(), "{}", self.complaints);
        assert_eq!(self.prometheus.broken_rules(), Vec::<String>::new());
    }
}

fn page_of(alert: &str) -> Runbook {
    let name = alert.to_lowercase();
    let page = runbooks::all().into_iter().find(|page| page.name == name);
    page.unwrap_or_else(|| panic!("{alert} has no page"))
}

/// Applies a policy on secrets whose names begin like this.
fn watch(stage: &Stage, policy: &Policy, prefix: &str) {
    stage.story.apply_policy(&policy.clone().selecting(prefix));
}

/// Waits until so many secrets of a policy are in a state.
fn finds(stage: &Stage, policy: &str, wanted: &str, number: u64) {
    stage
        .story
        .eventually(&format!("{policy} has {number} {wanted}"), || {
            count(&stage.story.get("srp", policy), wanted) == number
        });
}

fn begin_secrets() -> Stage {
    let stage = Stage::begin(&[]);
    stage.story.profile(&json!({
        "allowedActions": ["Rotate", "ClearPending", "PromotePending", "RestoreSecret"],
    }));
    stage
}

/// The pages that each test follows.
const STUCK: [&str; 2] = ["SecretRotationStuck", "SecretRotationStuckTooLong"];

const STATES: [&str; 6] = [
    "SecretRotationBroken",
    "SecretRotationExpiring",
    "SecretRotationOverdue",
    "SecretRotationScheduledForDeletion",
    "SecretRotationDisabled",
    "SecretRotationUnreadable",
];

const POLICIES: [&str; 5] = [
    "SecretRotationSuspendedTooLong",
    "SecretRotationCircuitBreakerOpen",
    "SecretRotationApprovalWaiting",
    "SecretRotationAttemptsExhausted",
    "SecretRotationRemediationLoop",
];

const RELEASES: [&str; 12] = [
    "SecretRotationMetricsTruncated",
    "SecretRotationCustomEndpoint",
    "SecretRotationPanics",
    "SecretRotationAWSThrottled",
    "SecretRotationAWSAccessDenied",
    "SecretRotationPolicyNotReady",
    "SecretRotationReconcileErrors",
    "SecretRotationUnseen",
    "SecretRotationDetectionStale",
    "SecretRotationCredentialsExpiring",
    "SecretRotationNoLeader",
    "SecretRotationControllerDown",
];

/// Alerts that cannot fire here, and why. Their pages are followed in the state that they mean, or one like it.
const SILENT: [(&str, &str); 5] = [
    (
        "SecretRotationApprovalWaiting",
        "no operation is four hours old",
    ),
    (
        "SecretRotationReconcileErrors",
        "most runs of the last minutes succeeded",
    ),
    (
        "SecretRotationCredentialsExpiring",
        "the access key of a story has no end",
    ),
    ("SecretRotationDetectionStale", "no check is an hour old"),
    ("SecretRotationPanics", "the controller does not panic"),
];

#[test]
fn commands_about_stuck_secrets_run_and_print_what_their_pages_show() {
    let mut stage = begin_secrets();
    watch(&stage, &Policy::observing("payments"), "payments/");
    watch(&stage, &Policy::observing("late"), "late/");
    finds(&stage, "payments", "stuck", 7);
    finds(&stage, "late", "stuck", 3);
    stage.follow("SecretRotationStuck", &[("POLICY", "payments")]);
    stage.follow("SecretRotationStuckTooLong", &[("POLICY", "late")]);
    stage.end(&STUCK);
}

#[test]
fn commands_about_other_states_run_and_print_what_their_pages_show() {
    let mut stage = begin_secrets();
    let date = stage.story.aws.now() + SignedDuration::from_hours(3 * 24);
    let partners = EXPIRING.replace("DATE", &date.strftime("%F").to_string());
    stage.story.aws.add(&partners).expect("a valid scenario");
    let expiry = json!({"detection": {"expiry": {"tagKey": "expires-at", "rotateBefore": "168h"}}});
    watch(
        &stage,
        &Policy::observing("partners").but(&expiry),
        "partner/",
    );
    for (policy, prefix) in [
        ("web", "web/"),
        ("reports", "reports/"),
        ("archive", "archive/"),
        ("legacy", "legacy/"),
    ] {
        watch(&stage, &Policy::observing(policy), prefix);
    }
    let names = json!({"selector": {"include": [{"names": ["catalog/main", "catalog/mian"]}]}});
    stage
        .story
        .apply_policy(&Policy::observing("catalog").but(&names));
    stage.follow("SecretRotationBroken", &[("POLICY", "web")]);
    stage.follow("SecretRotationExpiring", &[("POLICY", "partners")]);
    stage.follow("SecretRotationOverdue", &[("POLICY", "reports")]);
    stage.follow(
        "SecretRotationScheduledForDeletion",
        &[("POLICY", "archive")],
    );
    stage.follow("SecretRotationDisabled", &[("POLICY", "legacy")]);
    stage.follow("SecretRotationUnreadable", &[("POLICY", "catalog")]);
    stage.end(&STATES);
}

#[test]
fn commands_about_policies_run_and_print_what_their_pages_show() {
    let mut stage = begin_secrets();
    stage.story.until_approvals_count();
    let suspended = json!({"suspend": true});
    watch(
        &stage,
        &Policy::observing("frozen").but(&suspended),
        "frozen/",
    );
    let breaker = json!({"remediation": {"circuitBreaker": {"stuckPercent": 40, "minStuck": 5}}});
    watch(&stage, &Policy::acting("orders").but(&breaker), "orders/");
    let approval = json!({"remediation": {"approval": "Required"}});
    watch(
        &stage,
        &Policy::acting("billing").but(&approval),
        "billing/",
    );
    stage.follow("SecretRotationSuspendedTooLong", &[("POLICY", "frozen")]);
    stage.follow("SecretRotationCircuitBreakerOpen", &[("POLICY", "orders")]);
    stage.story.eventually("three operations wait", || {
        let operations = stage.story.operations();
        let waiting = operations.iter().filter(|one| {
            one["spec"]["policyRef"]["name"] == "billing" && state(one) == "AwaitingApproval"
        });
        waiting.count() == 3
    });
    stage.follow("SecretRotationApprovalWaiting", &[("POLICY", "billing")]);
    let twice = json!({
        "detection": {"stuckAfter": "2h"},
        "remediation": {"backoff": {"initial": "1m"}, "limits": {"maxAttempts": 2}},
    });
    watch(&stage, &Policy::acting("search").but(&twice), "search/");
    let clears = json!({
        "detection": {"stuckAfter": "2h"},
        "remediation": {"stuck": "ClearAndRotate", "backoff": {"initial": "1m"}},
    });
    watch(
        &stage,
        &Policy::acting("inventory").but(&clears),
        "inventory/",
    );
    // Each rotation must be seen to fail, which takes hours of AWS's time: a jump of half an hour saves minutes here.
    stage
        .story
        .while_time_flies("attempts are used up and labels cleared", 1800.0, || {
            let firing = stage.prometheus.firing();
            firing.contains("SecretRotationRemediationLoop")
                && firing.contains("SecretRotationAttemptsExhausted")
        });
    stage.follow("SecretRotationAttemptsExhausted", &[("POLICY", "search")]);
    stage.follow("SecretRotationRemediationLoop", &[("POLICY", "inventory")]);
    stage.end(&POLICIES);
}

#[test]
fn commands_about_the_controller_run_and_print_what_their_pages_show() {
    let mut stage = Stage::begin(&["--metrics-max-secrets", "5"]);
    stage.story.profile(&json!({}));
    watch(&stage, &Policy::observing("payments"), "payments/");
    finds(&stage, "payments", "stuck", 7);
    let payments = [("POLICY", "payments")];
    stage.follow("SecretRotationMetricsTruncated", &payments);
    let endpoint = format!("AWS_ENDPOINT_URL={}", stage.story.aws.url());
    let deployment = format!("deployment/{CONTROLLER}");
    stage
        .story
        .kubectl(&["set", "env", &deployment, "-n", SYSTEM, &endpoint]);
    stage.follow("SecretRotationCustomEndpoint", &payments);
    stage.follow("SecretRotationPanics", &payments);
    let resumed = json!({"spec": {"suspend": false}});
    stage.story.patch(&["srp", "payments"], &resumed);

    let lists = |kind| Fault::on("ListSecrets", kind);
    breaks(&stage, lists(FaultKind::Throttle), "Throttled");
    stage.follow("SecretRotationAWSThrottled", &payments);
    breaks(&stage, lists(FaultKind::AccessDenied), "AccessDenied");
    for alert in [
        "SecretRotationPolicyNotReady",
        "SecretRotationReconcileErrors",
        "SecretRotationUnseen",
        "SecretRotationDetectionStale",
    ] {
        stage.follow(alert, &payments);
    }
    stage.follow_and_fix("SecretRotationAWSAccessDenied", &payments, recovers);
    let expired = FaultKind::Code {
        code: "ExpiredTokenException".to_owned(),
        message: "The security token included in the request is expired".to_owned(),
    };
    breaks(&stage, lists(expired), "CredentialsUnavailable");
    let role = format!("eks.amazonaws.com/role-arn={}", IRSA[0].1);
    let annotate = ["annotate", "serviceaccount", CONTROLLER, "-n", SYSTEM];
    let annotate = [&annotate[..], &[&role]].concat();
    stage.story.kubectl(&annotate);
    stage.follow_and_fix("SecretRotationCredentialsExpiring", &payments, recovers);

    loses_the_lease(&mut stage);
    goes_down(&mut stage);
    stage.end(&RELEASES);
}

/// AWS refuses calls from now on, and the policy shows the reason.
fn breaks(stage: &Stage, fault: Fault, reason: &str) {
    stage.story.aws.clear_faults();
    stage.story.aws.inject(fault);
    stage.story.poke();
    stage
        .story
        .eventually(&format!("the policy shows {reason}"), || {
            verdict(&stage.story.get("srp", "payments"), "Ready") == format!("False/{reason}")
        });
}

/// AWS answers again, and the policy shows it.
fn recovers(story: &Story) {
    story.aws.clear_faults();
    story.poke();
    story.eventually("the policy is ready again", || {
        verdict(&story.get("srp", "payments"), "Ready") == "True/Succeeded"
    });
}

/// The controller runs, and may no longer write its lease.
fn loses_the_lease(stage: &mut Stage) {
    let role = ["get", "role", LEASES, "-n", SYSTEM, "-o", "json"];
    let kept = stage.story.kubectl(&role);
    let delete = ["delete", "role", LEASES, "-n", SYSTEM];
    stage.story.kubectl(&delete);
    stage.fires("SecretRotationNoLeader");
    ages_the_lease(&stage.story);
    let mut kept: Value = serde_json::from_str(&kept).expect("kubectl prints JSON");
    kept["metadata"] = json!({"name": LEASES, "namespace": SYSTEM});
    stage.follow_and_fix("SecretRotationNoLeader", &[], |story| {
        story.apply(&kept);
        story.eventually("a replica holds the lease again", || {
            lease(story)["spec"]["holderIdentity"].is_string()
        });
    });
}

/// Returns the lease of the controller, or null.
fn lease(story: &Story) -> Value {
    let get = ["get", "lease", "-n", SYSTEM, "-o", "json"];
    let list: Value = serde_json::from_str(&story.kubectl(&get)).expect("kubectl prints JSON");
    list["items"][0].clone()
}

/// Makes the lease look as it does when the alert fires in a real cluster: no one has renewed it for minutes.
fn ages_the_lease(story: &Story) {
    let renewed = text(&lease(story)["spec"]["renewTime"]);
    let renewed: Timestamp = renewed.parse().expect("a time");
    let older = renewed - SignedDuration::from_mins(6);
    let patch = json!({"spec": {"renewTime": format!("{older:.6}")}}).to_string();
    let name = ["patch", "lease", CONTROLLER, "-n", SYSTEM];
    story.kubectl(&[&name[..], &["--type=merge", "-p", &patch]].concat());
}

/// The process ends again and again.
fn goes_down(stage: &mut Stage) {
    recovers(&stage.story);
    stage.story.controllers[0].kill();
    ages_the_lease(&stage.story);
    stage.replicas(0);
    stage.pod(&json!({
        "phase": "Running",
        "containerStatuses": [{
            "name": "controller",
            "image": IMAGE,
            "imageID": "",
            "ready": false,
            "restartCount": 7,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        }],
    }));
    stage.follow("SecretRotationControllerDown", &[]);
}

#[test]
fn every_alert_has_a_page_that_a_test_follows() {
    let followed = [&STUCK[..], &STATES, &POLICIES, &RELEASES].concat();
    let followed: BTreeSet<_> = followed.into_iter().map(str::to_owned).collect();
    let alerts: BTreeSet<_> = rules::alerts().into_iter().map(|rule| rule.name).collect();
    assert_eq!(followed, alerts);
    for (silent, _) in SILENT {
        assert!(alerts.contains(silent), "{silent}");
    }
}

/// A page looks like every other: someone who is woken knows where to look.
#[test]
fn every_page_has_one_shape() {
    for rule in rules::alerts() {
        let page = page_of(&rule.name);
        let name = &page.name;
        let headings: Vec<_> = page
            .text
            .lines()
            .filter(|line| line.starts_with("# SecretRotation") || line.starts_with("## "))
            .filter(|line| *line != WITHOUT_PLUGIN)
            .collect();
        assert_eq!(headings[0], format!("# {}", rule.name));
        assert_eq!(headings[1..], HEADINGS, "{name}");
        let severity = text(&rule.text["labels"]["severity"]);
        let opening = page.text.split("\n\n").nth(1).unwrap_or_default();
        let opening = opening.split_whitespace().collect::<Vec<_>>().join(" ");
        let severity = format!(" Severity: {severity}.");
        assert!(opening.ends_with(&severity), "{name}: {opening}");
        let steps = page.steps().unwrap_or_else(|why| panic!("{why}"));
        let first = section(&page, HEADINGS[1]);
        assert_eq!(first.matches("```sh").count(), 1, "{name}: first command");
        assert!(steps[0].skipped.is_none(), "{name}: the first command runs");
        let evidence = section(&page, HEADINGS[4]);
        assert!(
            evidence.contains("```sh"),
            "{name}: no evidence is collected"
        );
        let explained: BTreeSet<_> = page.page.spans.iter().map(|span| &span.text).collect();
        for word in page.placeholders() {
            assert!(explained.contains(&word), "{name}: {word} is not explained");
        }
        for reason in steps.iter().filter_map(|step| step.skipped.as_deref()) {
            assert!(SKIPPED.contains(&reason), "{name}: {reason}");
        }
    }
}

fn section<'a>(page: &'a Runbook, heading: &str) -> &'a str {
    let rest = page.text.split(heading).nth(1).unwrap_or_default();
    rest.split("\n## ").next().unwrap_or_default()
}

/// A command within a sentence or a table is one that some page runs.
#[test]
fn no_page_names_a_command_that_no_page_runs() {
    let pages = runbooks::all();
    let steps = pages
        .iter()
        .flat_map(|page| page.steps().unwrap_or_else(|why| panic!("{why}")));
    let scripts: Vec<_> = steps
        .filter(|step| step.skipped.is_none())
        .map(|step| step.script)
        .collect();
    let run: BTreeSet<_> = scripts.iter().flat_map(|script| script.lines()).collect();
    for page in &pages {
        for span in &page.page.spans {
            let is_command = ["kubectl ", "aws "]
                .iter()
                .any(|start| span.text.starts_with(start));
            let place = page.page.at(span.line);
            assert!(
                !is_command || run.contains(span.text.as_str()),
                "{place}: {} is not run",
                span.text
            );
        }
    }
}

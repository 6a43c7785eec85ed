//! The chart with Helm: values that it accepts and rejects, and what it renders. No cluster is needed.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;
use testenv::assets::Assets;
use testenv::project::{self, output};
use xtask::{chart, generate};

/// Renders the chart with values set on the command line; the error is the message of Helm.
fn rendered(set: &[&str]) -> Result<String> {
    let mut command = testenv::helm::command()?;
    command
        .args(["template", chart::RELEASE])
        .arg(chart::folder());
    for value in set {
        command.args(["--set", value]);
    }
    output(&mut command)
}

#[track_caller]
fn refused(set: &[&str], part: &str) {
    let error = rendered(set).expect_err(part).to_string();
    assert!(error.contains(part), "{set:?}: {error}");
}

/// Parses the objects of a text with several documents.
fn objects(text: &str) -> Result<Vec<Value>> {
    let documents = text.split("\n---\n").map(serde_saphyr::from_str::<Value>);
    let mut objects = documents.collect::<Result<Vec<_>, _>>()?;
    objects.retain(|object| !object.is_null());
    Ok(objects)
}

fn of_kind(objects: &[Value], kind: &str) -> Vec<Value> {
    let found = objects.iter().filter(|object| object["kind"] == kind);
    found.cloned().collect()
}

/// This includes what the chart renders for each case of `ci/`.
#[test]
fn every_generated_file_is_fresh() -> Result<()> {
    generate::check()
}

#[test]
fn helm_finds_nothing_to_complain_about() -> Result<()> {
    for (name, values) in chart::cases()? {
        let mut command = testenv::helm::command()?;
        command.args(["lint", "--strict", "--values"]).arg(values);
        output(command.arg(chart::folder())).with_context(|| name)?;
    }
    Ok(())
}

#[test]
fn the_cases_are_those_that_the_documentation_names() -> Result<()> {
    let names: Vec<_> = chart::cases()?.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "all-on",
            "default",
            "ha",
            "host-network",
            "minimal",
            "openshift",
            "pods",
            "scoped"
        ]
    );
    Ok(())
}

#[test]
fn the_chart_is_of_the_version_of_the_controller() -> Result<()> {
    let text = fs::read_to_string(chart::folder().join("Chart.yaml"))?;
    let chart: Value = serde_saphyr::from_str(&text)?;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (chart["version"].as_str(), chart["appVersion"].as_str()),
        (Some(version), Some(version))
    );
    Ok(())
}

#[test]
fn an_unknown_value_is_refused_at_every_level() -> Result<()> {
    let text = fs::read_to_string(chart::folder().join("values.schema.json"))?;
    let mut levels = Vec::new();
    closed_levels(&serde_json::from_str(&text)?, &mut Vec::new(), &mut levels);
    assert!(
        levels.contains(&"metrics.serviceMonitor.".to_owned()),
        "{levels:?}"
    );
    assert!(
        levels.contains(&"profile.spec.rateLimit.".to_owned()),
        "{levels:?}"
    );
    for level in levels {
        refused(
            &[&format!("{level}surprise=1")],
            "additional properties 'surprise' not allowed",
        );
    }
    Ok(())
}

/// Returns the paths of objects that accept no other fields. Objects in lists are not visited.
fn closed_levels(schema: &Value, path: &mut Vec<String>, levels: &mut Vec<String>) {
    if schema["additionalProperties"] == false {
        let prefix = |text: String, key: &String| text + key.as_str() + ".";
        levels.push(path.iter().fold(String::new(), prefix));
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        path.push(key.clone());
        closed_levels(inner, path, levels);
        path.pop();
    }
}

#[test]
fn values_of_the_wrong_kind_are_refused_by_name() {
    refused(
        &["replicas=many"],
        "at '/replicas': got string, want integer",
    );
    refused(&["replicas=-1"], "at '/replicas': minimum: got -1, want 0");
    refused(&["image.digest=sha256:abc"], "at '/image/digest'");
    refused(&["image.pullPolicy=Sometimes"], "at '/image/pullPolicy'");
    refused(&["log.format=xml"], "at '/log/format'");
    refused(&["watchNamespaces={Team_A}"], "at '/watchNamespaces/0'");
    refused(&["metrics.secretLabel=arn"], "at '/metrics/secretLabel'");
    refused(
        &["podDisruptionBudget.maxUnavailable=0"],
        "at '/podDisruptionBudget/maxUnavailable'",
    );
    refused(
        &["alerts.thresholds.throttledRatio=2"],
        "at '/alerts/thresholds/throttledRatio'",
    );
    refused(
        &["profile.spec.regions={Frankfurt}"],
        "at '/profile/spec/regions/0'",
    );
    refused(
        &["profile.spec.allowedActions={Delete}"],
        "at '/profile/spec/allowedActions/0'",
    );
    refused(
        &["topologySpread[0].topologyKey=zone"],
        "at '/topologySpread/0'",
    );
}

#[test]
fn what_a_schema_cannot_know_is_refused_with_a_sentence() {
    refused(
        &["serviceAccount.create=false"],
        "serviceAccount.name is required when serviceAccount.create is false",
    );
    refused(
        &[
            "alerts.enabled=true",
            "alerts.disabled={SecretRotationBored}",
        ],
        "alerts.disabled names SecretRotationBored, which is not an alert of this chart",
    );
}

#[test]
fn what_the_controller_or_prometheus_would_refuse_is_refused_with_a_sentence() {
    refused(
        &["extraArgs={--log-level=debug}"],
        "extraArgs sets --log-level: set the value log.level instead",
    );
    refused(
        &["extraArgs={--namespace,team-a}"],
        "extraArgs sets --namespace: set the value watchNamespaces instead",
    );
    refused(
        &["ports.metrics=9000", "ports.health=9000"],
        "ports.metrics and ports.health are both 9000: set two different ports",
    );
    let both = [
        "metrics.serviceMonitor.enabled=true",
        "metrics.podMonitor.enabled=true",
    ];
    refused(&both, "Prometheus would scrape every pod twice");
    for (kind, empty) in [
        ("podMonitor", "extraArgs={}"),
        ("serviceMonitor", "metrics.serviceMonitor.bearerTokenFile="),
    ] {
        refused(
            &[
                "metrics.auth=true",
                &format!("metrics.{kind}.enabled=true"),
                empty,
            ],
            &format!("metrics.{kind}.authorization is required with metrics.auth"),
        );
    }
    refused(
        &[
            "metrics.tls.secretName=t",
            "metrics.podMonitor.enabled=true",
            "metrics.podMonitor.namespace=monitoring",
        ],
        "metrics.podMonitor.tlsConfig.ca is required: in namespace monitoring it cannot refer to",
    );
}

#[test]
fn durations_of_prometheus_are_accepted_and_others_refused() -> Result<()> {
    let monitor = |interval: &str| {
        rendered(&[
            "metrics.serviceMonitor.enabled=true",
            &format!("metrics.serviceMonitor.interval={interval}"),
        ])
    };
    for interval in ["", "15s", "1m30s", "1h", "500ms"] {
        let monitor = of_kind(&objects(&monitor(interval)?)?, "ServiceMonitor").remove(0);
        let shown = monitor["spec"]["endpoints"][0]["interval"].as_str();
        assert_eq!(shown.unwrap_or_default(), interval);
    }
    for interval in ["30", "1.5m", "soon", "30s1m"] {
        let error = monitor(interval).expect_err(interval).to_string();
        assert!(
            error.contains("at '/metrics/serviceMonitor/interval'"),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn over_tls_a_monitor_knows_the_name_in_the_certificate_and_its_ca() -> Result<()> {
    let tls = |kind: &str, set: &[&str]| -> Result<Value> {
        let value = format!("metrics.{kind}.enabled=true");
        let set = [set, &["metrics.tls.secretName=cert", &value]].concat();
        let (kind, endpoints) = match kind {
            "serviceMonitor" => ("ServiceMonitor", "endpoints"),
            _ => ("PodMonitor", "podMetricsEndpoints"),
        };
        let monitor = of_kind(&objects(&rendered(&set)?)?, kind).remove(0);
        assert_eq!(monitor["spec"][endpoints][0]["scheme"], "https");
        Ok(monitor["spec"][endpoints][0]["tlsConfig"].clone())
    };
    let name = "secret-rotation-controller-metrics.default.svc";
    let from_secret = serde_json::json!({"serverName": name, "ca": {"secret": {"name": "cert", "key": "ca.crt"}}});
    assert_eq!(tls("serviceMonitor", &[])?, from_secret);
    assert_eq!(tls("podMonitor", &[])?, from_secret);
    assert_eq!(
        tls(
            "serviceMonitor",
            &["metrics.tls.caConfigMap=cas", "metrics.tls.caKey=x"]
        )?,
        serde_json::json!({"serverName": name, "ca": {"configMap": {"name": "cas", "key": "x"}}})
    );
    assert_eq!(
        tls("serviceMonitor", &["metrics.tls.caKey="])?,
        serde_json::json!({"serverName": name})
    );
    assert_eq!(
        tls(
            "serviceMonitor",
            &["metrics.serviceMonitor.tlsConfig.insecureSkipVerify=true"]
        )?,
        serde_json::json!({"serverName": name, "insecureSkipVerify": true})
    );
    assert_eq!(
        tls(
            "serviceMonitor",
            &["metrics.serviceMonitor.tlsConfig.serverName=other"]
        )?["serverName"],
        "other"
    );
    Ok(())
}

/// The API server adds an action that is not written, and then the list differs from what every other manager writes.
#[test]
fn every_relabeling_of_a_monitor_has_an_action_and_the_first_sets_the_job() -> Result<()> {
    let monitor = "metrics.podMonitor";
    let monitors = rendered(&[
        "metrics.job=rotation",
        &format!("{monitor}.enabled=true"),
        &format!("{monitor}.relabelings[0].targetLabel=cluster"),
        &format!("{monitor}.relabelings[0].replacement=one"),
        &format!("{monitor}.metricRelabelings[0].action=labeldrop"),
        &format!("{monitor}.metricRelabelings[0].regex=pod"),
    ])?;
    let monitor = of_kind(&objects(&monitors)?, "PodMonitor").remove(0);
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(
        endpoint["relabelings"],
        serde_json::json!([
            {"action": "replace", "targetLabel": "job", "replacement": "rotation"},
            {"action": "replace", "targetLabel": "cluster", "replacement": "one"},
        ])
    );
    let dropped = serde_json::json!([{"action": "labeldrop", "regex": "pod"}]);
    assert_eq!(endpoint["metricRelabelings"], dropped);
    Ok(())
}

/// Helm keeps the defaults of a subchart where the values of its parent say null, so null alone would not do.
#[test]
fn on_openshift_no_pod_asks_for_an_id_also_below_a_parent_chart() -> Result<()> {
    let own = objects(&rendered(&["openshift=true"])?)?;
    let below = rendered_below("", "secret-rotation-controller: {openshift: true}\n")?;
    for objects in [own, below] {
        let deployment = of_kind(&objects, "Deployment").remove(0);
        let test = of_kind(&objects, "Pod").remove(0);
        for pod in [&deployment["spec"]["template"]["spec"], &test["spec"]] {
            let expected = serde_json::json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
            assert_eq!(pod["securityContext"], expected);
            let container = pod["containers"][0]["securityContext"].to_string();
            assert!(!container.contains("runAs"), "{container}");
        }
    }
    Ok(())
}

/// The paths of values that are lists or maps as a whole.
fn collections(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{key}");
        match (&value["default"], value["type"].as_str()) {
            (Value::Null, Some("object")) => collections(value, &format!("{path}."), found),
            (Value::Array(_) | Value::Object(_), _) => found.push(path),
            _ => {}
        }
    }
}

/// People empty a list or a map of the chart with null, which Helm takes out of the values.
#[test]
fn every_list_and_every_map_can_be_null() -> Result<()> {
    let text = fs::read_to_string(chart::folder().join("values.schema.json"))?;
    let mut found = Vec::new();
    collections(&serde_json::from_str(&text)?, "", &mut found);
    for part in [
        "commonLabels",
        "affinity",
        "probes.liveness",
        "metrics.podMonitor.tlsConfig",
    ] {
        assert!(
            found.iter().any(|one| one == part),
            "{part} is not in {found:?}"
        );
    }
    found.retain(|path| path != "global");
    let nulls: Vec<_> = found.iter().map(|path| format!("{path}=null")).collect();
    let nulls = nulls.iter().map(String::as_str);
    for monitor in ["serviceMonitor", "podMonitor"] {
        let monitor = format!("metrics.{monitor}.enabled=true");
        let more = [
            "openshift=true",
            "metrics.tls.secretName=cert",
            "dashboard.enabled=true",
        ];
        let set: Vec<_> = nulls.clone().chain(more).chain([&*monitor]).collect();
        rendered(&set)?;
    }
    Ok(())
}

#[test]
fn values_that_are_right_are_accepted() -> Result<()> {
    for set in [
        [
            "podDisruptionBudget.minAvailable=0",
            "podDisruptionBudget.maxUnavailable=50%",
        ],
        [
            "podDisruptionBudget.minAvailable=50%",
            "image.tag=v1.2.3-rc.1_x",
        ],
        [
            "nodeSelector.kubernetes\\.io/os=null",
            "nodeSelector.disk=ssd",
        ],
        [
            "global.storageClass=fast",
            "global.imagePullSecrets[0].name=mirror",
        ],
        ["global.imageRegistry=null", "strategy.type=Recreate"],
        [
            "extraObjects[0]=kind: ConfigMap",
            "extraArgs={--allow-custom-endpoint}",
        ],
        ["dnsPolicy=None", "dnsConfig.nameservers={10.0.0.2}"],
        ["enabled=true", "namespaceOverride=team-a"],
    ] {
        rendered(&set)?;
    }
    Ok(())
}

#[test]
fn an_older_kubernetes_is_refused() -> Result<()> {
    let mut command = testenv::helm::command()?;
    command
        .args(["template", "--kube-version", "1.31.9", chart::RELEASE])
        .arg(chart::folder());
    let error = output(&mut command).expect_err("it is too old").to_string();
    assert!(
        error.contains("chart requires kubeVersion: >=1.32.0-0"),
        "{error}"
    );
    Ok(())
}

#[test]
fn alerts_take_their_thresholds_from_values_and_can_be_left_out_one_by_one() -> Result<()> {
    let set = [
        "alerts.enabled=true",
        "alerts.disabled={SecretRotationStuck}",
        "alerts.thresholds.overdueSeconds=4321",
        "metrics.job=other",
        "alerts.runbookBaseUrl=https://runbooks.example.com",
    ];
    let rules = of_kind(&objects(&rendered(&set)?)?, "PrometheusRule");
    let text = serde_json::to_string(&rules)?;
    for part in [
        "4321s",
        "job=\\\"other\\\"",
        "https://runbooks.example.com/runbooks/",
        "{{ $labels.secret }}",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let alerts: Vec<_> = rules[0]["spec"]["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .filter_map(|rule| rule["alert"].as_str())
        .collect();
    assert!(alerts.contains(&"SecretRotationOverdue"), "{alerts:?}");
    assert!(!alerts.contains(&"SecretRotationStuck"), "{alerts:?}");
    Ok(())
}

#[test]
fn the_dashboard_of_the_chart_is_the_file() -> Result<()> {
    let maps = of_kind(
        &objects(&rendered(&["dashboard.enabled=true"])?)?,
        "ConfigMap",
    );
    let shown: Value = serde_json::from_str(
        maps[0]["data"]["secret-rotation.json"]
            .as_str()
            .context("the dashboard is a text")?,
    )?;
    let file = fs::read_to_string(chart::folder().join("files/dashboard.json"))?;
    assert_eq!(shown, serde_json::from_str::<Value>(&file)?);
    Ok(())
}

/// A permission on Secrets would apply to every value that was ever synchronized into the cluster.
#[test]
fn no_role_is_about_secrets_or_about_everything() -> Result<()> {
    for (name, values) in chart::cases()? {
        let objects = objects(&chart::manifests(&values, &[])?)?;
        let roles = [of_kind(&objects, "ClusterRole"), of_kind(&objects, "Role")].concat();
        assert!(!roles.is_empty(), "{name} has no roles");
        for role in roles {
            let words: BTreeSet<_> = words(&role["rules"]).into_iter().collect();
            for never in ["secrets", "*", "escalate", "bind", "impersonate"] {
                assert!(!words.contains(never), "{name}: {role:#}");
            }
        }
    }
    Ok(())
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(word) => vec![word.clone()],
        Value::Array(items) => items.iter().flat_map(words).collect(),
        Value::Object(fields) => fields.values().flat_map(words).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[test]
fn only_authenticated_metrics_let_the_controller_review_tokens() -> Result<()> {
    let reviews = |set: &[&str]| -> Result<bool> { Ok(rendered(set)?.contains("tokenreviews")) };
    assert!(!reviews(&[])?);
    assert!(reviews(&["metrics.auth=true"])?);
    Ok(())
}

#[test]
fn the_kinds_of_the_chart_are_those_of_the_code() -> Result<()> {
    let shown = of_kind(&objects(&rendered(&[])?)?, "CustomResourceDefinition");
    let definitions = secret_rotation_api::manifests();
    assert_eq!(shown.len(), definitions.len());
    for definition in definitions {
        let name = &definition["metadata"]["name"];
        let shown = shown.iter().find(|one| one["metadata"]["name"] == *name);
        let shown = shown.with_context(|| format!("{name} is missing"))?;
        assert_eq!(shown["spec"], definition["spec"]);
        assert_eq!(
            shown["metadata"]["annotations"]["helm.sh/resource-policy"],
            "keep"
        );
    }
    Ok(())
}

/// Values that name keys of the chart, and one key in several places.
const REPEATED: &str = r#"
commonLabels:
  team: platform
  app.kubernetes.io/name: other
  app.kubernetes.io/part-of: platform
  app.kubernetes.io/version: "2026.11"
  helm.sh/chart: umbrella
commonAnnotations:
  owner: platform
  helm.sh/resource-policy: none
  helm.sh/hook: pre-install
  secretrotation.dev/version: other
deploymentAnnotations: {owner: payments}
podLabels: {team: pods, app.kubernetes.io/instance: other}
podAnnotations: {kubectl.kubernetes.io/default-container: sidecar}
serviceAccount: {annotations: {owner: accounts}}
profile: {create: true}
metrics:
  service: {labels: {team: scrapes}, annotations: {owner: scrapes}}
  serviceMonitor: {enabled: true, labels: {team: monitors}}
alerts: {enabled: true, labels: {team: rules}}
dashboard: {enabled: true, labels: {team: dashboards}, annotations: {owner: dashboards}}
"#;

/// The parser of [`objects`] rejects a duplicate key, as kustomize and Flux do.
#[test]
fn a_key_of_the_values_replaces_that_of_the_chart_and_never_one_that_the_object_needs() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.yaml");
    fs::write(&values, REPEATED)?;
    let objects = objects(&chart::manifests(&values, &[])?)?;
    let team = |kind: &str| match kind {
        "Service" => "scrapes",
        "ServiceMonitor" => "monitors",
        "PrometheusRule" => "rules",
        "ConfigMap" => "dashboards",
        _ => "platform",
    };
    let owner = |kind: &str| match kind {
        "Deployment" => "payments",
        "ServiceAccount" => "accounts",
        "Service" => "scrapes",
        "ConfigMap" => "dashboards",
        _ => "platform",
    };
    for object in &objects {
        let kind = object["kind"].as_str().context("an object has a kind")?;
        let labels = &object["metadata"]["labels"];
        let annotations = &object["metadata"]["annotations"];
        let name = match kind {
            "Pod" => "secret-rotation-controller-selftest",
            _ => "secret-rotation-controller",
        };
        for (key, value) in [
            ("team", team(kind)),
            ("app.kubernetes.io/name", name),
            ("app.kubernetes.io/instance", chart::RELEASE),
            ("app.kubernetes.io/part-of", "platform"),
            ("app.kubernetes.io/version", "2026.11"),
            ("helm.sh/chart", "umbrella"),
        ] {
            assert_eq!(labels[key], value, "{key} of {object:#}");
        }
        let needed = match kind {
            "CustomResourceDefinition" => ("helm.sh/resource-policy", "keep"),
            "Pod" => ("helm.sh/hook", "test"),
            "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding" => {
                ("secretrotation.dev/version", env!("CARGO_PKG_VERSION"))
            }
            "AWSAccessProfile" => ("argocd.argoproj.io/sync-wave", "1"),
            _ => ("helm.sh/hook", "pre-install"),
        };
        for (key, value) in [("owner", owner(kind)), needed] {
            assert_eq!(annotations[key], value, "{key} of {object:#}");
        }
    }
    let deployment = of_kind(&objects, "Deployment").remove(0);
    let pod = &deployment["spec"]["template"]["metadata"];
    let selector = &deployment["spec"]["selector"]["matchLabels"];
    for (key, value) in selector.as_object().into_iter().flatten() {
        assert_eq!(pod["labels"][key], *value);
    }
    assert_eq!(pod["labels"]["team"], "pods");
    let container = &pod["annotations"]["kubectl.kubernetes.io/default-container"];
    assert_eq!(container, "sidecar");
    Ok(())
}

/// Renders a parent chart with this chart as its only dependency.
fn rendered_below(dependency: &str, values: &str) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let charts = folder.path().join("charts");
    fs::create_dir(&charts)?;
    std::os::unix::fs::symlink(chart::folder(), charts.join(chart::RELEASE))?;
    let version = env!("CARGO_PKG_VERSION");
    fs::write(
        folder.path().join("Chart.yaml"),
        format!(
            "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n- name: {}\n  version: {version}\n{dependency}",
            chart::RELEASE
        ),
    )?;
    fs::write(folder.path().join("values.yaml"), values)?;
    let mut command = testenv::helm::command()?;
    command.args(["template", "platform"]).arg(folder.path());
    objects(&output(&mut command)?)
}

#[test]
fn a_parent_chart_turns_the_chart_on_and_off_and_shares_its_registry() -> Result<()> {
    let condition = "  condition: secret-rotation-controller.enabled\n";
    let values = |enabled: bool| {
        format!(
            "global:\n  imageRegistry: mirror.example.com:5000\n  imagePullSecrets: [mirror, {{name: other}}]\n  region: eu\nsecret-rotation-controller:\n  enabled: {enabled}\n  imagePullSecrets: [{{name: other}}]\n"
        )
    };
    assert_eq!(
        rendered_below(condition, &values(false))?,
        Vec::<Value>::new()
    );
    let objects = rendered_below(condition, &values(true))?;
    let version = env!("CARGO_PKG_VERSION");
    let image =
        format!("mirror.example.com:5000/secretrotation/secret-rotation-controller:{version}");
    let deployment = of_kind(&objects, "Deployment").remove(0);
    for pod in [
        &deployment["spec"]["template"]["spec"],
        &of_kind(&objects, "Pod")[0]["spec"],
    ] {
        assert_eq!(pod["containers"][0]["image"], image);
        let secrets = serde_json::json!([{"name": "other"}, {"name": "mirror"}]);
        assert_eq!(pod["imagePullSecrets"], secrets);
    }
    let error = rendered_below("", &values(false)).expect_err("no condition");
    let part = "write `condition: secret-rotation-controller.enabled` next to this chart";
    assert!(error.to_string().contains(part), "{error}");
    Ok(())
}

/// Helm gives the chart the alias as its name.
#[test]
fn under_an_alias_every_selector_finds_the_pods() -> Result<()> {
    let values = "rotation:\n  networkPolicy: {enabled: true}\n  metrics: {serviceMonitor: {enabled: true}}\n";
    let objects = rendered_below("  alias: rotation\n", values)?;
    let one = |kind: &str| of_kind(&objects, kind).remove(0);
    let spec = &one("Deployment")["spec"];
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/name"], "rotation");
    let constraint = &spec["template"]["spec"]["topologySpreadConstraints"][0];
    let service = one("Service");
    for (object, pointer) in [
        (one("Deployment"), "/spec/selector/matchLabels"),
        (constraint.clone(), "/labelSelector/matchLabels"),
        (service.clone(), "/spec/selector"),
        (one("PodDisruptionBudget"), "/spec/selector/matchLabels"),
        (one("NetworkPolicy"), "/spec/podSelector/matchLabels"),
    ] {
        let selector = object.pointer(pointer).and_then(Value::as_object);
        let selector = selector.with_context(|| format!("no {pointer} in {object:#}"))?;
        assert!(!selector.is_empty());
        for (key, value) in selector {
            assert_eq!(labels[key], *value, "{object:#}");
        }
    }
    let monitor = one("ServiceMonitor");
    let selector = monitor["spec"]["selector"]["matchLabels"].as_object();
    for (key, value) in selector.context("the monitor selects")? {
        assert_eq!(service["metadata"]["labels"][key], *value);
    }
    Ok(())
}

#[test]
fn a_registry_replaces_the_host_of_the_repository() -> Result<()> {
    let image = |set: &[&str]| -> Result<Value> {
        let deployment = of_kind(&objects(&rendered(set)?)?, "Deployment").remove(0);
        Ok(deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone())
    };
    for (set, expected) in [
        (
            ["image.registry=r.example.com", "image.tag=v1"],
            "r.example.com/secretrotation/secret-rotation-controller:v1",
        ),
        (
            [
                "image.registry=r.example.com/mirror/",
                "image.repository=localhost:5000/a/b",
            ],
            "r.example.com/mirror/a/b:0.1.0",
        ),
        (
            ["image.registry=r.example.com", "image.repository=team/b"],
            "r.example.com/team/b:0.1.0",
        ),
        (
            ["image.registry=", "image.repository=q.example.com/team/b"],
            "q.example.com/team/b:0.1.0",
        ),
        (
            [
                "image.registry=own.example.com",
                "global.imageRegistry=shared.example.com",
            ],
            "own.example.com/secretrotation/secret-rotation-controller:0.1.0",
        ),
    ] {
        let expected = expected.replace("0.1.0", env!("CARGO_PKG_VERSION"));
        assert_eq!(image(&set)?, expected, "{set:?}");
    }
    Ok(())
}

#[test]
fn one_value_moves_every_namespaced_object_to_another_namespace() -> Result<()> {
    let set = [
        "namespaceOverride=elsewhere",
        "metrics.auth=true",
        "networkPolicy.enabled=true",
    ];
    let text = rendered(&set)?;
    assert!(text.contains("--lease-namespace=elsewhere"));
    assert!(text.contains("http://secret-rotation-controller-metrics.elsewhere.svc:8080/metrics"));
    for object in objects(&text)? {
        for namespace in [
            &object["metadata"]["namespace"],
            &object["subjects"][0]["namespace"],
        ] {
            let moved = namespace.is_null() || *namespace == "elsewhere";
            assert!(moved, "{object:#}");
        }
    }
    Ok(())
}

#[test]
fn kustomize_takes_every_plain_manifest() -> Result<()> {
    let deploy = project::root().join("deploy");
    let mut kustomize = std::process::Command::new(Assets::locate()?.kubectl);
    let built = output(kustomize.arg("kustomize").arg(&deploy))?;
    let mut files = Vec::new();
    for folder in ["crds", "admission", "controller"] {
        for entry in fs::read_dir(deploy.join(folder))? {
            files.extend(objects(&fs::read_to_string(entry?.path())?)?);
        }
    }
    assert_eq!(names(&objects(&built)?), names(&files));
    Ok(())
}

fn names(objects: &[Value]) -> BTreeSet<String> {
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    objects.iter().map(name).collect()
}

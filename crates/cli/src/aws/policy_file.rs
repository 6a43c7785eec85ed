//! The file that `audit --filename` reads: a policy, and optionally its profile.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::profile::Profile;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::CommandError;

/// The resources of a policy file.
#[derive(Debug)]
pub(super) struct PolicyFile {
    pub(super) policy: SecretRotationPolicy,
    pub(super) profile: Option<AWSAccessProfile>,
    /// The file, for messages; `None` for the default policy.
    name: Option<String>,
}

impl PolicyFile {
    /// Reads a policy file; `-` is standard input.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or holds anything else than one policy and at most one profile.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let name = if path == Path::new("-") {
            "standard input".into()
        } else {
            path.to_string_lossy()
        };
        Self::parse(&read_text(path)?, &name)
    }

    /// Returns a policy with all defaults and no profile. The caller replaces its selector.
    pub(super) fn default_policy() -> Result<Self, CommandError> {
        let policy = object(
            &json!({
                "apiVersion": "secretrotation.dev/v1alpha1",
                "kind": "SecretRotationPolicy",
                "metadata": {"name": "audit"},
                "spec": {"selector": {"include": [{"namePrefix": "replaced"}], "maxSecrets": 500_000}},
            }),
            "the default policy",
        )?;
        Ok(Self {
            policy,
            profile: None,
            name: None,
        })
    }

    fn parse(text: &str, name: &str) -> Result<Self, CommandError> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)
            .map_err(|error| CommandError::usage(format!("{name} is not YAML: {error}")))?;
        let (mut policies, mut profiles) = (Vec::new(), Vec::new());
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            match document["kind"].as_str() {
                Some("SecretRotationPolicy") => policies.push(object(&document, name)?),
                Some("AWSAccessProfile") => profiles.push(object(&document, name)?),
                kind => return Err(unexpected(kind, name)),
            }
        }
        let hint =
            "it must contain exactly one SecretRotationPolicy and at most one AWSAccessProfile";
        match (policies.pop(), profiles.pop()) {
            (Some(policy), profile) if policies.is_empty() && profiles.is_empty() => {
                let name = Some(name.to_owned());
                Ok(Self {
                    policy,
                    profile,
                    name,
                })
            }
            (Some(_), _) => Err(CommandError::usage(format!(
                "{name} contains more than one SecretRotationPolicy or AWSAccessProfile"
            ))
            .with_hint(hint)),
            (None, _) => Err(CommandError::usage(format!(
                "{name} contains no SecretRotationPolicy"
            ))
            .with_hint(hint)),
        }
    }

    /// Converts the policy, with the defaults that the API server would set.
    pub(super) fn to_core(&self, stuck_after: Option<&str>) -> Result<Policy, CommandError> {
        let mut policy = self.policy.clone();
        let given = policy.metadata;
        policy.metadata = ObjectMeta {
            name: given.name.or_else(|| Some("audit".to_owned())),
            namespace: given.namespace.or_else(|| Some("default".to_owned())),
            uid: Some("audit".to_owned()),
            creation_timestamp: Some(Time(Timestamp::UNIX_EPOCH)),
            ..ObjectMeta::default()
        };
        policy.status = None;
        if let Some(duration) = stuck_after {
            policy.spec.detection.stuck_after = duration.into();
        }
        let parsed = policy.to_core();
        parsed.map(|(policy, _)| policy).map_err(|error| {
            let text = error.to_string();
            let of_the_flag = text
                .strip_prefix("spec.detection.stuckAfter")
                .filter(|_| stuck_after.is_some());
            CommandError::usage(match (of_the_flag, &self.name) {
                (Some(rest), _) => format!("--stuck-after{rest}"),
                (None, Some(name)) => format!("{name}: {text}"),
                (None, None) => text,
            })
        })
    }
}

fn unexpected(kind: Option<&str>, name: &str) -> CommandError {
    let what = kind.map_or_else(
        || format!("{name} contains an object without a kind"),
        |kind| format!("{name} contains a {kind}"),
    );
    CommandError::usage(what)
        .with_hint("it can contain only SecretRotationPolicy and AWSAccessProfile")
}

/// Reads one resource. An unknown field is an error, as it is for the API server.
fn object<T: DeserializeOwned>(document: &Value, file: &str) -> Result<T, CommandError> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_path_to_error::Deserializer::new(document, &mut track);
    let read = serde_ignored::deserialize(reader, |path| unknown.push(path.to_string()));
    let document = described(document);
    let object = read.map_err(|error: serde_json::Error| {
        let path = track.path().to_string();
        let field = if path == "." {
            String::new()
        } else {
            format!("{path}: ")
        };
        CommandError::usage(format!("{file}: {document}: {field}{error}"))
    })?;
    // Every resource has these two fields; kube reads them separately.
    unknown.retain(|path| !matches!(path.as_str(), "apiVersion" | "kind"));
    if unknown.is_empty() {
        return Ok(object);
    }
    let hint = "`kubectl explain srp.spec` lists the fields";
    let fields = unknown.join(", ");
    Err(CommandError::usage(format!("{file}: {document}: unknown field: {fields}")).with_hint(hint))
}

/// Returns the kind and the name of a document, if it has them.
fn described(document: &Value) -> String {
    let kind = document["kind"].as_str();
    let name = document["metadata"]["name"].as_str();
    kind.into_iter().chain(name).collect::<Vec<_>>().join(" ")
}

/// Converts the profile of the file, if it is the one that the policy names.
pub(super) fn limits(profile: &AWSAccessProfile, policy: &Policy) -> Result<Profile, CommandError> {
    let profile = profile
        .to_core()
        .map_err(|error| CommandError::usage(error.to_string()))?;
    if profile.name != policy.profile {
        return Err(CommandError::usage(format!(
            "spec.profileRef.name is {}, but the file contains profile {}",
            policy.profile, profile.name
        )));
    }
    Ok(profile)
}

fn read_text(path: &Path) -> Result<String, CommandError> {
    let unreadable =
        |error: io::Error| CommandError::usage(format!("cannot read {}: {error}", path.display()));
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        return Ok(text);
    }
    fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        PolicyFile::parse(text, "p.yaml")
            .and_then(|file| file.to_core(None))
            .expect_err("a mistake")
            .to_string()
    }

    fn policy(spec: &str) -> String {
        format!(
            "apiVersion: secretrotation.dev/v1alpha1\nkind: SecretRotationPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn a_mistake_in_a_policy_file_is_reported_with_its_field() {
        let cases = [
            (
                policy("{selector: {include: [{namePrefix: a/}]}, detection: {stuckAfter: 5m}}"),
                "error: p.yaml: spec.detection.stuckAfter is \"5m\"; write a duration between 2h and 720h, in hours (h), minutes (m) or seconds (s)",
            ),
            (
                policy("{selector: {include: [{namePrefix: a/}]}, detection: {stuckafter: 6h}}"),
                "error: p.yaml: SecretRotationPolicy p: unknown field: spec.detection.stuckafter",
            ),
            (
                policy("{selector: {include: [{namePrefix: 7}]}}"),
                "error: p.yaml: SecretRotationPolicy p: spec.selector.include[0].namePrefix: invalid type",
            ),
            (
                "kind: SecretRotationPolicy\nspec: {selector: {include: [{namePrefix: a/}]}}"
                    .to_owned(),
                "error: p.yaml: SecretRotationPolicy: missing field `metadata`",
            ),
            (
                policy("{selector: {include: [{}]}}"),
                "spec.selector.include[0]: write at least one",
            ),
            (
                policy(
                    "{selector: {include: [{names: ['arn:aws:secretsmanager:eu-west-1:111122223333:secret:a/b-AbCdEf']}]}}",
                ),
                "spec.selector.include[0].names[0]",
            ),
            (
                policy("{selector: {include: [{namePrefix: 'arn:aws:secretsmanager:'}]}}"),
                "spec.selector.include[0].namePrefix",
            ),
            (
                policy("{selector: {include: [{names: [b/c], namePrefix: a/}]}}"),
                "spec.selector: name b/c does not begin with namePrefix a/ of the same item",
            ),
            (
                policy("{selector: {include: [{namePrefix: a/}], exclude: [{names: [b/c]}]}}"),
                "name b/c excludes nothing that is included",
            ),
            (
                policy("{selector: {include: [{namePrefix: a/b}], exclude: [{namePrefix: a/}]}}"),
                "everything that is included is excluded",
            ),
            (
                "kind: Deployment".to_owned(),
                "error: p.yaml contains a Deployment",
            ),
            ("- [".to_owned(), "error: p.yaml is not YAML"),
            (
                String::new(),
                "error: p.yaml contains no SecretRotationPolicy",
            ),
        ];
        for (text, expected) in cases {
            let refusal = refusal(&text);
            assert!(refusal.contains(expected), "{text}\n{refusal}");
        }
    }

    #[test]
    fn a_profile_in_the_file_limits_the_policy() {
        let text = policy("{selector: {include: [{namePrefix: default/}]}, regions: [eu-west-1]}")
            + "---\napiVersion: secretrotation.dev/v1alpha1\nkind: AWSAccessProfile\nmetadata: {name: default}\nspec: {regions: [eu-west-1, eu-central-1], allowedSecrets: [{namePrefix: '${namespace}/'}]}\n";
        let file = PolicyFile::parse(&text, "p.yaml").expect("two objects");
        let policy = file.to_core(None).expect("a policy");
        let profile = limits(file.profile.as_ref().expect("a profile"), &policy);
        assert_eq!(profile.expect("its own").regions.len(), 2);
    }
}

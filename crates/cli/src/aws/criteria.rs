//! The criteria of an audit: a policy and a profile, from a file or with defaults.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::authorise::{Tenant, under_ceiling};
use secret_rotation_core::names::{Arn, Region};
use secret_rotation_core::policy::{Policy, Suspension};
use secret_rotation_core::profile::{NamePattern, NamespaceRule, Profile, RateLimit};
use secret_rotation_core::secret::Secret;
use secret_rotation_core::selector::{Matcher, Selector};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::CommandError;
use crate::ui::output;

/// What core needs to evaluate an inventory.
#[derive(Clone, Debug)]
pub(crate) struct Criteria {
    /// The namespace that the policy would be in.
    pub tenant: Tenant,
    /// The limits of the policy.
    pub profile: Profile,
    /// Which secrets are selected, and what is unhealthy.
    pub policy: Policy,
    /// Whether the policy was read from a file.
    pub is_given: bool,
}

impl Criteria {
    /// Reads a policy file, or builds a policy that selects everything. Calls `regions` if neither names any.
    pub(crate) fn read(
        file: Option<&Path>,
        stuck_after: Option<&str>,
        regions: impl FnOnce() -> Result<Vec<Region>, CommandError>,
    ) -> Result<Self, CommandError> {
        let documents = match file {
            Some(path) => Documents::parse(&text_of(path)?)?,
            None => Documents {
                policy: everything()?,
                profile: None,
            },
        };
        let mut policy = documents.core(stuck_after)?;
        for arn in policy.selector.exclude.iter().flat_map(|item| &item.arns) {
            output::note(&old_exclusion(arn));
        }
        if file.is_none() {
            // The schema cannot express "every secret": no policy in a cluster should mean it.
            policy.selector = Selector {
                include: vec![Matcher::default()],
                ..policy.selector
            };
        }
        let profile = match &documents.profile {
            Some(profile) => bounds(profile, &policy)?,
            None => open(&policy, regions)?,
        };
        Ok(Self {
            tenant: Tenant {
                namespace: policy.key.namespace.clone(),
                labels: std::collections::BTreeMap::new(),
            },
            profile,
            policy,
            is_given: file.is_some(),
        })
    }

    /// Returns criteria that select every secret of these regions.
    pub(crate) fn everything(regions: Vec<Region>) -> Result<Self, CommandError> {
        Self::read(None, None, || Ok(regions))
    }

    /// Limits the criteria to these regions, if there are any.
    pub(crate) fn within(mut self, asked: &[Region]) -> Result<Self, CommandError> {
        if asked.is_empty() {
            return Ok(self);
        }
        let known = self.regions();
        if let Some(stranger) = asked.iter().find(|region| !known.contains(region)) {
            return Err(CommandError::usage(format!(
                "region {stranger} is not among the regions of the policy and its profile"
            )));
        }
        self.profile.regions = asked.iter().cloned().collect();
        Ok(self)
    }

    /// Returns the regions to read.
    pub(crate) fn regions(&self) -> Vec<Region> {
        let chosen = |region: &&Region| {
            let regions = self.policy.regions.as_ref();
            regions.is_none_or(|regions| regions.contains(*region))
        };
        self.profile
            .regions
            .iter()
            .filter(chosen)
            .cloned()
            .collect()
    }

    /// Returns whether the controller would describe the secret for this policy.
    pub(crate) fn may_look(&self, secret: &Secret) -> bool {
        self.policy.selector.selects(secret)
            && under_ceiling(&self.tenant.namespace, &self.profile, &secret.name).is_ok()
    }
}

/// Returns a warning about an exclusion by ARN: stored policies keep it, so an audit does too, but it cannot be created
/// any more.
fn old_exclusion(arn: &Arn) -> String {
    format!(
        "warning: spec.selector.exclude names ARN {arn}, which the API server does not accept in a new policy: write the name {}",
        arn.name()
    )
}

fn text_of(path: &Path) -> Result<String, CommandError> {
    let unreadable =
        |error: io::Error| CommandError::usage(format!("cannot read {}: {error}", path.display()));
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        return Ok(text);
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// The resources of a policy file.
#[derive(Debug)]
struct Documents {
    policy: SecretRotationPolicy,
    profile: Option<AWSAccessProfile>,
}

impl Documents {
    fn parse(text: &str) -> Result<Self, CommandError> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
            CommandError::usage(format!("the policy file is not YAML: {error}"))
        })?;
        let (mut policies, mut profiles) = (Vec::new(), Vec::new());
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            match document["kind"].as_str() {
                Some("SecretRotationPolicy") => policies.push(object(&document)?),
                Some("AWSAccessProfile") => profiles.push(object(&document)?),
                kind => return Err(unexpected(kind)),
            }
        }
        let hint =
            "it must contain exactly one SecretRotationPolicy and at most one AWSAccessProfile";
        match (policies.pop(), profiles.pop()) {
            (Some(policy), profile) if policies.is_empty() && profiles.is_empty() => {
                Ok(Self { policy, profile })
            }
            (Some(_), _) => Err(CommandError::usage(
                "the policy file must contain exactly one SecretRotationPolicy",
            )
            .with_hint(hint)),
            (None, _) => Err(CommandError::usage(
                "the policy file contains no SecretRotationPolicy",
            )
            .with_hint(hint)),
        }
    }

    /// Converts the policy, with the defaults that the API server would set.
    fn core(&self, stuck_after: Option<&str>) -> Result<Policy, CommandError> {
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
            CommandError::usage(match stuck_after {
                Some(_) => text.replace("spec.detection.stuckAfter", "--stuck-after"),
                None => text,
            })
        })
    }
}

fn unexpected(kind: Option<&str>) -> CommandError {
    let what = kind.map_or_else(
        || "the policy file contains an object without a kind".to_owned(),
        |kind| format!("the policy file contains a {kind}"),
    );
    CommandError::usage(what)
        .with_hint("it can contain only SecretRotationPolicy and AWSAccessProfile")
}

/// Reads one resource. An unknown field is an error, as it is for the API server.
fn object<T: DeserializeOwned>(document: &Value) -> Result<T, CommandError> {
    let mut strangers = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_path_to_error::Deserializer::new(document, &mut track);
    let read = serde_ignored::deserialize(reader, |path| strangers.push(path.to_string()));
    let object = read.map_err(|error: serde_json::Error| {
        CommandError::usage(format!("{}: {error}", track.path()))
    })?;
    // Every resource has these two fields; kube reads them separately.
    strangers.retain(|path| !matches!(path.as_str(), "apiVersion" | "kind"));
    if strangers.is_empty() {
        return Ok(object);
    }
    let hint = "`kubectl explain srp.spec` lists the fields";
    Err(CommandError::usage(format!("unknown field: {}", strangers.join(", "))).with_hint(hint))
}

/// Converts the profile of the file, if it is the one that the policy names.
fn bounds(profile: &AWSAccessProfile, policy: &Policy) -> Result<Profile, CommandError> {
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

/// Returns a profile without limits, in the regions of the policy or else in those that `regions` returns.
fn open(
    policy: &Policy,
    regions: impl FnOnce() -> Result<Vec<Region>, CommandError>,
) -> Result<Profile, CommandError> {
    let regions: BTreeSet<_> = match &policy.regions {
        Some(regions) => regions.clone(),
        None => regions()?.into_iter().collect(),
    };
    Ok(Profile {
        name: policy.profile.clone(),
        account: None,
        regions,
        allowed_namespaces: NamespaceRule::default(),
        allowed_secrets: NamePattern::parse("*").into_iter().collect(),
        allowed_actions: BTreeSet::new(),
        approval_required_for: BTreeSet::new(),
        suspension: Suspension::Active,
        deletion_requested: None,
        min_check_interval: policy.check_interval,
        max_concurrent_per_function: 1,
        rate_limit: RateLimit {
            reads_per_second: 20,
            writes_per_second: 1,
        },
        event_queue: None,
    })
}

/// Returns a policy with all defaults. The caller replaces its selector.
fn everything() -> Result<SecretRotationPolicy, CommandError> {
    object(&json!({
        "apiVersion": "secretrotation.dev/v1alpha1",
        "kind": "SecretRotationPolicy",
        "metadata": {"name": "audit"},
        "spec": {"selector": {"include": [{"namePrefix": "replaced"}], "maxSecrets": 500_000}},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Documents::parse(text)
            .and_then(|documents| documents.core(None))
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
                "spec.detection.stuckAfter is \"5m\"; write a duration such as 30m or 6h, between 2h and 720h",
            ),
            (
                policy("{selector: {include: [{namePrefix: a/}]}, detection: {stuckafter: 6h}}"),
                "unknown field: spec.detection.stuckafter",
            ),
            (
                policy("{selector: {include: [{namePrefix: 7}]}}"),
                "spec.selector.include[0].namePrefix: invalid type",
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
                "the policy file contains a Deployment",
            ),
            ("- [".to_owned(), "the policy file is not YAML"),
            (
                String::new(),
                "the policy file contains no SecretRotationPolicy",
            ),
        ];
        for (text, expected) in cases {
            let refusal = refusal(&text);
            assert!(refusal.contains(expected), "{text}\n{refusal}");
        }
    }

    #[test]
    fn without_a_file_everything_is_selected_with_defaults() {
        let region = Region::parse("eu-west-1").expect("a region");
        let criteria = Criteria::everything(vec![region.clone()]).expect("a criteria");
        assert_eq!(criteria.regions(), [region]);
        assert_eq!(criteria.policy.selector.include, [Matcher::default()]);
        assert_eq!(criteria.policy.detection.stuck_after.as_secs(), 6 * 3600);
    }

    #[test]
    fn an_invalid_threshold_is_reported_with_its_flag() {
        let failure = Criteria::read(None, Some("1h"), || Ok(Vec::new())).expect_err("too short");
        assert!(
            failure
                .to_string()
                .starts_with("error: --stuck-after is \"1h\""),
            "{failure}"
        );
    }

    #[test]
    fn a_profile_in_the_file_limits_the_policy() {
        let text = policy("{selector: {include: [{namePrefix: default/}]}, regions: [eu-west-1]}")
            + "---\napiVersion: secretrotation.dev/v1alpha1\nkind: AWSAccessProfile\nmetadata: {name: default}\nspec: {regions: [eu-west-1, eu-central-1], allowedSecrets: [{namePrefix: '${namespace}/'}]}\n";
        let documents = Documents::parse(&text).expect("two objects");
        let policy = documents.core(None).expect("a policy");
        let profile = bounds(documents.profile.as_ref().expect("a profile"), &policy);
        assert_eq!(profile.expect("its own").regions.len(), 2);
    }
}

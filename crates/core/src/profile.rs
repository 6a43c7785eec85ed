//! An `AWSAccessProfile`: what admins allow tenants to reach and do.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use crate::action::Permission;
use crate::names::{AccountId, Namespace, ProfileName, QueueArn, Region, SecretName};
use crate::policy::Suspension;
use crate::time::ServerTime;

/// The limits of every policy that refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name.
    pub name: ProfileName,
    /// The account. If given, every ARN is checked against it.
    pub account: Option<AccountId>,
    /// The regions.
    pub regions: BTreeSet<Region>,
    /// The namespaces whose policies may refer to it.
    pub allowed_namespaces: NamespaceRule,
    /// The ceiling: the secrets that its policies can reach. Empty = none.
    pub allowed_secrets: Vec<NamePattern>,
    /// The actions that are allowed. Empty = observe only.
    pub allowed_actions: BTreeSet<Permission>,
    /// The actions that always need an approval, regardless of the policy.
    pub approval_required_for: BTreeSet<Permission>,
    /// Whether an admin has suspended the profile.
    pub suspension: Suspension,
    /// When it was deleted, if a finalizer still keeps it.
    pub deletion_requested: Option<ServerTime>,
    /// The shortest interval between checks.
    pub min_check_interval: Duration,
    /// The maximum number of rotations in progress per rotation function, over all policies of the profile.
    pub max_concurrent_per_function: usize,
    /// The rate limit for requests to AWS.
    pub rate_limit: RateLimit,
    /// The queue where events about secrets arrive. Events only make the controller look sooner.
    pub event_queue: Option<QueueArn>,
}

impl Profile {
    /// Returns an account that is not the one of the profile, if AWS returned secrets of such an account: the
    /// credentials then belong to another account.
    pub fn foreign_account<'a>(
        &self,
        mut accounts: impl Iterator<Item = &'a AccountId>,
    ) -> Option<&'a AccountId> {
        let own = self.account.as_ref()?;
        accounts.find(|account| *account != own)
    }

    /// Returns the name prefixes that policies of the namespace can reach. An empty prefix = every name.
    pub fn ceilings(&self, namespace: &Namespace) -> Vec<String> {
        let patterns = self.allowed_secrets.iter();
        patterns.map(|pattern| pattern.prefix(namespace)).collect()
    }
}

/// Requests per second to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Reads; bursts of 100.
    pub reads_per_second: u32,
    /// Writes; bursts of 10.
    pub writes_per_second: u32,
}

/// Namespaces by name or by label; empty = no namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceRule {
    /// Exact names; `*` = every namespace.
    pub names: BTreeSet<String>,
    /// Labels that a namespace must all carry; `None` = no selection by label.
    pub labels: Option<BTreeMap<String, String>>,
}

impl NamespaceRule {
    /// Returns whether the namespace with these labels is admitted.
    pub fn admits(&self, namespace: &Namespace, labels: &BTreeMap<String, String>) -> bool {
        self.names.contains("*")
            || self.names.contains(namespace.as_str())
            || self.labels.as_ref().is_some_and(|wanted| {
                !wanted.is_empty()
                    && wanted
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
            })
    }
}

/// A name prefix, in which `${namespace}` stands for the policy's namespace; `*` alone = every name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

const NAMESPACE_VARIABLE: &str = "${namespace}";

impl NamePattern {
    /// Parses a pattern. `None` if the variable is not followed by a separator: `prod` would otherwise also reach
    /// `production`.
    pub fn parse(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let rest = text.split_once(NAMESPACE_VARIABLE).map(|(_, rest)| rest);
        let separated = rest.is_none_or(|rest| {
            rest.starts_with(['/', '_', '.', '+', '=', '@']) && !rest.contains(NAMESPACE_VARIABLE)
        });
        (!text.is_empty() && separated).then_some(Self(text))
    }

    /// Returns the prefix that names must have for this namespace; empty = every name.
    pub fn prefix(&self, namespace: &Namespace) -> String {
        if self.0 == "*" {
            String::new()
        } else {
            self.0.replace(NAMESPACE_VARIABLE, namespace.as_str())
        }
    }

    /// Returns whether the pattern covers the name for policies of the namespace.
    pub fn covers(&self, namespace: &Namespace, name: &SecretName) -> bool {
        name.as_str().starts_with(&self.prefix(namespace))
    }
}

//! An `AWSAccessProfile`: what admins let tenants reach and do.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use crate::action::Permission;
use crate::names::{AccountId, Namespace, ProfileName, QueueArn, Region, SecretName};
use crate::policy::Suspension;
use crate::time::ServerTime;

/// The outer bounds of every policy that refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// The account, checked against every ARN where given.
    pub account: Option<AccountId>,
    /// The regions.
    pub regions: BTreeSet<Region>,
    /// Who may refer to it.
    pub allowed_namespaces: NamespaceRule,
    /// The ceiling: which secrets may be seen at all. Empty = none.
    pub allowed_secrets: Vec<NamePattern>,
    /// What may be done. Empty = observe only.
    pub allowed_actions: BTreeSet<Permission>,
    /// What always needs a person's approval, whatever a policy says.
    pub approval_required_for: BTreeSet<Permission>,
    /// The admins' brake.
    pub suspension: Suspension,
    /// When somebody deleted it, if a finalizer still keeps it.
    pub deletion_requested: Option<ServerTime>,
    /// The shortest interval between checks.
    pub min_check_interval: Duration,
    /// Started rotations per rotation function, over all policies of the profile.
    pub max_concurrent_per_function: usize,
    /// Requests to AWS.
    pub rate_limit: RateLimit,
    /// Where events about secrets arrive: hints to look sooner, never more.
    pub event_queue: Option<QueueArn>,
}

impl Profile {
    /// Of accounts whose secrets AWS shows, one that is not the profile's: the credentials are those of somebody else.
    pub fn stranger<'a>(
        &self,
        mut accounts: impl Iterator<Item = &'a AccountId>,
    ) -> Option<&'a AccountId> {
        let own = self.account.as_ref()?;
        accounts.find(|account| *account != own)
    }

    /// The beginnings that names of secrets must have for policies of the namespace; an empty one = every name.
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

/// Namespaces by name or by label; empty = nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceRule {
    /// Exact names; `*` = everybody.
    pub names: BTreeSet<String>,
    /// Labels that a namespace must all carry; `None` = no selection by label.
    pub labels: Option<BTreeMap<String, String>>,
}

impl NamespaceRule {
    /// Whether the namespace with these labels is admitted.
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
    /// Takes a pattern; `None` if the variable is not followed by a separator, for then `prod` would reach `production`.
    pub fn parse(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let rest = text.split_once(NAMESPACE_VARIABLE).map(|(_, rest)| rest);
        let separated = rest.is_none_or(|rest| {
            rest.starts_with(['/', '_', '.', '+', '=', '@']) && !rest.contains(NAMESPACE_VARIABLE)
        });
        (!text.is_empty() && separated).then_some(Self(text))
    }

    /// The beginning that names must have for this namespace; empty = every name.
    pub fn prefix(&self, namespace: &Namespace) -> String {
        if self.0 == "*" {
            String::new()
        } else {
            self.0.replace(NAMESPACE_VARIABLE, namespace.as_str())
        }
    }

    /// Whether the name lies under this ceiling for policies of the namespace.
    pub fn covers(&self, namespace: &Namespace, name: &SecretName) -> bool {
        name.as_str().starts_with(&self.prefix(namespace))
    }
}

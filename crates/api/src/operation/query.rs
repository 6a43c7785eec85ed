//! What a reader can learn from the object of an operation: its phase, its result, its secret.
//!
//! These functions are lenient: an operation that this release cannot parse can still be shown.

use kube::ResourceExt as _;
use secret_rotation_core::action as core;
use secret_rotation_core::names::Arn;

use super::{Action, SecretRotationOperation};
use crate::conditions::{ConditionType, find, is_true};
use crate::policy::SecretRotationPolicy;
use crate::text::Text;

impl Action {
    /// Returns the name of the action as an operation writes it.
    pub fn name(self) -> &'static str {
        core::Action::from(self).name()
    }
}

impl SecretRotationOperation {
    /// Returns what the operation is doing or how it ended: the reason of condition `Complete`, and `New` before there is one.
    pub fn phase(&self) -> &str {
        let conditions = self.status.as_ref().map(|status| &status.conditions);
        let complete = conditions.and_then(|conditions| find(conditions, ConditionType::Complete));
        complete.map_or("New", |complete| complete.reason.as_str())
    }

    /// Returns the message of condition `Complete`, empty before there is one. It may hold control characters.
    pub fn message(&self) -> &str {
        let conditions = self.status.as_ref().map(|status| &status.conditions);
        let complete = conditions.and_then(|conditions| find(conditions, ConditionType::Complete));
        complete.map_or("", |complete| complete.message.as_str())
    }

    /// Returns whether the operation succeeded, `None` while it has not ended.
    pub fn succeeded(&self) -> Option<bool> {
        let conditions = &self.status.as_ref()?.conditions;
        if is_true(conditions, ConditionType::Failed) {
            return Some(false);
        }
        is_true(conditions, ConditionType::Complete).then_some(true)
    }

    /// Returns whether the operation has ended, with success or without.
    pub fn is_finished(&self) -> bool {
        self.succeeded().is_some()
    }

    /// Returns whether the operation belongs to this policy.
    pub fn belongs_to(&self, policy: &SecretRotationPolicy) -> bool {
        self.namespace() == policy.namespace()
            && self.spec.policy_ref.name.as_str() == policy.name_any()
    }

    /// Returns the name and the region of the secret; `None` while one of them is unknown.
    pub fn secret_and_region(&self) -> Option<(String, String)> {
        let secret = &self.spec.secret;
        let status = self.status.as_ref();
        let found = status.and_then(|status| status.arn.as_ref());
        let arn = secret.arn.as_ref().map(Text::as_str);
        let arn = arn.or_else(|| found.map(Text::as_str));
        let arn = arn.and_then(|arn| Arn::parse(arn).ok());
        let known = status.and_then(|status| status.secret_name.as_ref());
        let name = secret.name.as_ref().or(known).map(ToString::to_string);
        let name = name.or_else(|| arn.as_ref().map(|arn| arn.name().to_owned()));
        let region = secret.region.as_ref().map(ToString::to_string);
        let region = region.or_else(|| arn.as_ref().map(|arn| arn.region().as_str().to_owned()));
        Some((name?, region?))
    }
}

//! From the object to core: fills in every default, parses every text, and names the field in every error.

use secret_rotation_core::{
    names::{AccountId, ProfileName, QueueArn, Region},
    policy::Suspension,
    profile as core,
};

use super::{AWSAccessProfile, AllowedNamespaces, AllowedSecret, RateLimit};
use crate::{
    Invalid,
    invalid::{deleted, named, possible, stored},
    text::Text,
};

impl AWSAccessProfile {
    /// Parses the profile.
    ///
    /// # Errors
    ///
    /// Returns an error if the spec is invalid. The error names the field and what to write.
    pub fn to_core(&self) -> Result<core::Profile, Invalid> {
        let spec = &self.spec;
        let region = |(index, text): (usize, &Text<5, 32>)| {
            named(&format!("spec.regions[{index}]"), text, Region::parse)
        };
        let account = spec
            .account_id
            .as_ref()
            .map(|id| named("spec.accountId", id, AccountId::parse));
        Ok(core::Profile {
            name: named(
                "metadata.name",
                stored("metadata.name", self.metadata.name.as_ref())?,
                ProfileName::parse,
            )?,
            account: account.transpose()?,
            regions: spec
                .regions
                .iter()
                .enumerate()
                .map(region)
                .collect::<Result<_, _>>()?,
            allowed_namespaces: spec.allowed_namespaces.to_core(),
            allowed_secrets: self.ceiling()?,
            allowed_actions: spec
                .allowed_actions
                .iter()
                .copied()
                .map(Into::into)
                .collect(),
            approval_required_for: spec
                .approval_required_for
                .iter()
                .copied()
                .map(Into::into)
                .collect(),
            suspension: Suspension::of(spec.suspend),
            deletion_requested: deleted(self.metadata.deletion_timestamp.as_ref()),
            min_check_interval: spec.min_check_interval.parse("spec.minCheckInterval")?,
            max_concurrent_per_function: spec
                .max_concurrent_per_function
                .parse("spec.maxConcurrentPerFunction")?,
            rate_limit: spec.rate_limit.to_core()?,
            event_queue: spec
                .event_queue
                .as_ref()
                .map(|queue| named("spec.eventQueue.arn", &queue.arn, QueueArn::parse))
                .transpose()?,
        })
    }

    fn ceiling(&self) -> Result<Vec<core::NamePattern>, Invalid> {
        let pattern = |(index, allowed): (usize, &AllowedSecret)| {
            allowed.to_core(&format!("spec.allowedSecrets[{index}].namePrefix"))
        };
        self.spec
            .allowed_secrets
            .iter()
            .enumerate()
            .map(pattern)
            .collect()
    }
}

impl AllowedNamespaces {
    fn to_core(&self) -> core::NamespaceRule {
        let labels = self.selector.as_ref().map(|selector| {
            let label = |(key, value): (&String, &Text<0, 63>)| (key.clone(), value.to_string());
            selector.match_labels.iter().map(label).collect()
        });
        core::NamespaceRule {
            names: self.names.iter().map(ToString::to_string).collect(),
            labels,
        }
    }
}

impl AllowedSecret {
    fn to_core(&self, path: &str) -> Result<core::NamePattern, Invalid> {
        let text = self.name_prefix.as_str();
        if text != "*" && text.contains('*') {
            return Err(Invalid::contradiction(
                path,
                "write * alone to allow every name, or a prefix without it",
            ));
        }
        let known = !text.replace("${namespace}", "").contains('$');
        let pattern = core::NamePattern::parse(text).filter(|_| known);
        let advice =
            "write ${namespace} once and follow it with one of / _ . + = @, as in ${namespace}/";
        let pattern = pattern.ok_or_else(|| Invalid::contradiction(path, advice))?;
        if text != "*" {
            possible(path, &text.replace("${namespace}", ""))?;
        }
        Ok(pattern)
    }
}

impl RateLimit {
    fn to_core(&self) -> Result<core::RateLimit, Invalid> {
        Ok(core::RateLimit {
            reads_per_second: self
                .reads_per_second
                .parse("spec.rateLimit.readsPerSecond")?,
            writes_per_second: self
                .writes_per_second
                .parse("spec.rateLimit.writesPerSecond")?,
        })
    }
}

//! From the object to core: fills in every default, parses every text, and names the field in every error.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::names::{
    Arn, Namespace, ObjectKey, ObjectName, ProfileName, Region, SecretName, Uid, VersionId,
};
use secret_rotation_core::survey::{PreviousFinding, PreviousFindings, State};
use secret_rotation_core::time::{AwsTime, ServerTime};
use secret_rotation_core::{policy as core, selector as core_selector};

use super::{
    Backoff, CircuitBreaker, Detection, FindingStatus, Remediation, SecretRotationPolicy, Selector,
    SelectorItem, TagRequirement, Windows,
};
use crate::{
    Invalid,
    invalid::{deleted, named, possible, stored},
    text::Text,
    time::Time,
};

/// How far a remembered time may lie outside the lifetime of the object. Times beyond that are not from this
/// controller.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

impl SecretRotationPolicy {
    /// Parses the policy and the findings in its status.
    ///
    /// The status is a hint: what is unreadable or impossible there is left out.
    ///
    /// # Errors
    ///
    /// Returns an error if the spec is invalid. The error names the field and what to write.
    pub fn to_core(&self) -> Result<(core::Policy, PreviousFindings), Invalid> {
        Ok((self.policy()?, self.previous_findings()))
    }

    fn policy(&self) -> Result<core::Policy, Invalid> {
        let spec = &self.spec;
        Ok(core::Policy {
            key: self.key()?,
            uid: named(
                "metadata.uid",
                stored("metadata.uid", self.metadata.uid.as_ref())?,
                Uid::parse,
            )?,
            created: self.created()?,
            deletion_requested: deleted(self.metadata.deletion_timestamp.as_ref()),
            profile: named(
                "spec.profileRef.name",
                &spec.profile_ref.name,
                ProfileName::parse,
            )?,
            regions: regions(&spec.regions)?,
            selector: spec.selector.to_core()?,
            mode: spec.mode.into(),
            suspension: core::Suspension::of(spec.suspend),
            retry_requested: self.retry_requested(),
            check_interval: spec.check_interval.parse("spec.checkInterval")?,
            detection: spec.detection.to_core()?,
            remediation: spec.remediation.to_core()?,
        })
    }

    /// Returns when the last request to reset the count of attempts was seen. Only the status has this time.
    fn retry_requested(&self) -> Option<AwsTime> {
        self.status
            .as_ref()?
            .last_retry_request
            .as_ref()?
            .time
            .aws()
    }

    fn key(&self) -> Result<ObjectKey, Invalid> {
        let namespace = stored("metadata.namespace", self.metadata.namespace.as_ref())?;
        let name = stored("metadata.name", self.metadata.name.as_ref())?;
        Ok(ObjectKey {
            namespace: named("metadata.namespace", namespace, Namespace::parse)?,
            name: named("metadata.name", name, ObjectName::parse)?,
        })
    }

    fn created(&self) -> Result<ServerTime, Invalid> {
        crate::invalid::created(self.metadata.creation_timestamp.as_ref())
    }

    /// Returns what the status remembers of the last pass.
    fn previous_findings(&self) -> PreviousFindings {
        let findings = self.status.iter().flat_map(|status| &status.findings);
        let kept: BTreeMap<_, _> = findings
            .filter_map(FindingStatus::previous_finding)
            .collect();
        PreviousFindings {
            findings: kept
                .into_iter()
                .map(|(key, remembered)| (key, self.credible(remembered)))
                .collect(),
            counts: self
                .status
                .iter()
                .flat_map(super::SecretRotationPolicyStatus::counts)
                .collect(),
            omitted: self.omitted(),
            tripped: self.tripped().collect(),
            unconfirmed: BTreeSet::new(),
        }
    }

    fn omitted(&self) -> usize {
        let omitted = self
            .status
            .as_ref()
            .and_then(|status| status.findings_omitted);
        omitted.map_or(0, |count| usize::try_from(count.value()).unwrap_or(0))
    }

    /// Returns the regions in which the circuit breaker blocked a finding.
    fn tripped(&self) -> impl Iterator<Item = Region> {
        let findings = self.status.iter().flat_map(|status| &status.findings);
        let held = findings
            .filter(|finding| finding.block_reason() == Some(BlockReason::CircuitBreakerOpen));
        held.filter_map(|finding| Region::parse(finding.region.as_str()).ok())
    }

    /// Drops a time of first observation before the policy existed or after its last check. Clocks may differ by
    /// [`CLOCK_TOLERANCE`].
    fn credible(&self, remembered: PreviousFinding) -> PreviousFinding {
        let earliest = self
            .metadata
            .creation_timestamp
            .as_ref()
            .and_then(|created| created.0.checked_sub(CLOCK_TOLERANCE).ok());
        let checked = self
            .status
            .as_ref()
            .and_then(|status| status.last_check_time.as_ref()?.timestamp());
        let latest = checked.and_then(|checked| checked.checked_add(CLOCK_TOLERANCE).ok());
        let first_observed = remembered.first_observed.filter(|seen| {
            earliest.is_none_or(|earliest| seen.timestamp() >= earliest)
                && latest.is_none_or(|latest| seen.timestamp() <= latest)
        });
        let checked = self
            .status
            .as_ref()
            .and_then(|status| status.last_check_time.as_ref()?.aws());
        PreviousFinding {
            first_observed,
            seen: remembered.seen.or(checked),
            ..remembered
        }
    }
}

impl FindingStatus {
    /// Returns the state of the secret; `None` if only a newer release knows it.
    pub fn known_state(&self) -> Option<State> {
        State::parse(&self.state)
    }

    /// Returns what blocks the remedy; `None` if nothing does, or only a newer release knows it.
    pub fn block_reason(&self) -> Option<BlockReason> {
        self.blocked_by
            .as_ref()
            .and_then(|word| BlockReason::parse(word))
    }

    fn previous_finding(&self) -> Option<((Region, SecretName), PreviousFinding)> {
        let region = Region::parse(self.region.as_str()).ok()?;
        let name = SecretName::parse(self.name.as_str()).ok()?;
        let state = self.known_state()?;
        let pending = self
            .pending_version_id
            .as_ref()
            .and_then(|id| VersionId::parse(id.as_str()).ok());
        let first_observed = self.first_observed_time.as_ref().and_then(Time::aws);
        let since = self.since.as_ref().and_then(Time::aws);
        Some((
            (region, name),
            PreviousFinding {
                state,
                since,
                pending,
                first_observed,
                arn: self
                    .arn
                    .as_ref()
                    .and_then(|arn| Arn::parse(arn.as_str()).ok()),
                message: self.message.to_string(),
                current: self
                    .current_version_id
                    .as_ref()
                    .and_then(|id| VersionId::parse(id.as_str()).ok()),
                seen: self.unseen_since.as_ref().and_then(Time::aws),
            },
        ))
    }
}

fn regions(texts: &[Text<5, 32>]) -> Result<Option<BTreeSet<Region>>, Invalid> {
    let each = |(index, text): (usize, &Text<5, 32>)| {
        named(&format!("spec.regions[{index}]"), text, Region::parse)
    };
    let regions: BTreeSet<_> = texts
        .iter()
        .enumerate()
        .map(each)
        .collect::<Result<_, _>>()?;
    Ok((!regions.is_empty()).then_some(regions))
}

impl Selector {
    fn to_core(&self) -> Result<core_selector::Selector, Invalid> {
        if self.include.is_empty() {
            let advice = "write at least one item with names, namePrefix or tags";
            return Err(Invalid::Missing {
                path: "spec.selector.include".to_owned(),
                advice,
            });
        }
        let selector = core_selector::Selector {
            include: matchers("spec.selector.include", &self.include, ArnsIn::Nowhere)?,
            exclude: matchers("spec.selector.exclude", &self.exclude, ArnsIn::Names)?,
            max_secrets: self.max_secrets.parse("spec.selector.maxSecrets")?,
        };
        match selector.unmatchable() {
            None => Ok(selector),
            Some(why) => Err(Invalid::contradiction("spec.selector", why.to_string())),
        }
    }
}

/// Where stored objects may hold ARNs. The schema refuses ARNs in new objects everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArnsIn {
    /// In names of exclusions: a stored exclusion by ARN must continue to exclude that secret.
    Names,
    /// In no field: an inclusion by ARN would match nothing.
    Nowhere,
}

fn matchers(
    path: &str,
    items: &[SelectorItem],
    arns: ArnsIn,
) -> Result<Vec<core_selector::Matcher>, Invalid> {
    items
        .iter()
        .enumerate()
        .map(|(index, item)| item.to_core(&format!("{path}[{index}]"), arns))
        .collect()
}

impl SelectorItem {
    /// Parses an item. It refuses an item without conditions, which would match every secret: no one intends that by
    /// an empty item.
    fn to_core(&self, path: &str, allowed: ArnsIn) -> Result<core_selector::Matcher, Invalid> {
        if self.names.is_empty() && self.name_prefix.is_none() && self.tags.is_empty() {
            return Err(Invalid::contradiction(
                path,
                "write at least one of names, namePrefix and tags",
            ));
        }
        let (mut names, mut arns) = (BTreeSet::new(), BTreeSet::new());
        for (index, text) in self.names.iter().enumerate() {
            let path = format!("{path}.names[{index}]");
            match Arn::parse(text.as_str()) {
                Ok(arn) if allowed == ArnsIn::Names => {
                    arns.insert(arn);
                }
                Ok(_) | Err(_) => {
                    possible(&path, text)?;
                    names.insert(named(&path, text, SecretName::parse)?);
                }
            }
        }
        if let Some(prefix) = &self.name_prefix {
            possible(&format!("{path}.namePrefix"), prefix)?;
        }
        Ok(core_selector::Matcher {
            names,
            arns,
            name_prefix: self.name_prefix.as_ref().map(ToString::to_string),
            tags: self.tags.iter().map(TagRequirement::to_core).collect(),
        })
    }
}

impl TagRequirement {
    fn to_core(&self) -> core_selector::TagMatcher {
        let values = self.values.iter().map(ToString::to_string).collect();
        core_selector::TagMatcher {
            key: self.key.to_string(),
            values,
        }
    }
}

impl Detection {
    fn to_core(&self) -> Result<core::Detection, Invalid> {
        Ok(core::Detection {
            stuck_after: self.stuck_after.parse("spec.detection.stuckAfter")?,
            overdue_after: self.overdue_after.parse("spec.detection.overdueAfter")?,
            max_age: self
                .max_age
                .as_ref()
                .map(|age| age.parse("spec.detection.maxAge"))
                .transpose()?,
            expiry: self.expiry()?,
            rotation_disabled: self.rotation_disabled.into(),
            scheduled_for_deletion: self.scheduled_for_deletion.into(),
        })
    }

    fn expiry(&self) -> Result<Option<core::Expiry>, Invalid> {
        let Some(expiry) = &self.expiry else {
            return Ok(None);
        };
        let rotate_before = expiry
            .rotate_before
            .parse("spec.detection.expiry.rotateBefore")?;
        Ok(Some(core::Expiry {
            tag_key: expiry.tag_key.to_string(),
            rotate_before,
        }))
    }
}

impl Remediation {
    fn to_core(&self) -> Result<core::Remediation, Invalid> {
        let limits = &self.limits;
        Ok(core::Remediation {
            stuck: self.stuck.into(),
            overdue: self.overdue.into(),
            deletion: self.scheduled_for_deletion.into(),
            approval: self.approval.into(),
            windows: self
                .windows
                .as_ref()
                .map(Windows::to_core)
                .unwrap_or_default(),
            confirm_after: self.confirm_after.parse("spec.remediation.confirmAfter")?,
            max_concurrent: limits
                .max_concurrent
                .parse("spec.remediation.limits.maxConcurrent")?,
            max_attempts: limits
                .max_attempts
                .parse("spec.remediation.limits.maxAttempts")?,
            attempt_window: limits
                .attempt_window
                .parse("spec.remediation.limits.attemptWindow")?,
            backoff: self.backoff.to_core()?,
            breaker: self.circuit_breaker.to_core()?,
        })
    }
}

impl Backoff {
    fn to_core(&self) -> Result<core::Backoff, Invalid> {
        let initial = self.initial.parse("spec.remediation.backoff.initial")?;
        let max = self.max.parse("spec.remediation.backoff.max")?;
        if max < initial {
            return Err(Invalid::contradiction(
                "spec.remediation.backoff",
                "write a max that is not shorter than initial",
            ));
        }
        Ok(core::Backoff { initial, max })
    }
}

impl CircuitBreaker {
    fn to_core(&self) -> Result<core::CircuitBreaker, Invalid> {
        Ok(core::CircuitBreaker {
            stuck_percent: self
                .stuck_percent
                .parse("spec.remediation.circuitBreaker.stuckPercent")?,
            min_stuck: self
                .min_stuck
                .parse("spec.remediation.circuitBreaker.minStuck")?,
        })
    }
}

//! Whether the controller can do its job for an object: the reason of condition `Ready`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_core::{
    authorise::Refusal,
    aws_error::{AwsError, ErrorClass, ErrorGroup},
    names::{ProfileName, Region},
    words,
};

use crate::{
    Invalid,
    conditions::{ConditionStatus, ConditionType, ConditionUpdate, find},
};

/// Whether the controller can do its job for this generation of an object, and why not.
///
/// The text of a variant is a sentence for people. It must not change from pass to pass, so it contains neither ages
/// nor request ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The controller can do its job.
    Succeeded,
    /// Someone has suspended the policy.
    Suspended,
    /// An admin suspended the profile, and with it every policy of the profile.
    ProfileSuspended(ProfileName),
    /// The first pass over this generation is not complete.
    Progressing,
    /// The profile does not exist.
    ProfileNotFound(ProfileName),
    /// The profile exists but is not ready.
    ProfileNotReady(ProfileName),
    /// The profile does not admit the namespace.
    NamespaceNotAllowed(String),
    /// A region is not one of the profile.
    RegionNotAllowed(String),
    /// A name or prefix is outside the bounds of the profile.
    SecretNotAllowed(String),
    /// The profile does not allow the requested remedy.
    ActionNotAllowed(String),
    /// The AWS credentials belong to another account than the profile.
    WrongAccount(String),
    /// AWS denied a request that a sweep needs.
    AccessDenied(String),
    /// There are no usable AWS credentials.
    CredentialsUnavailable(String),
    /// AWS throttles.
    Throttled(String),
    /// AWS cannot be reached, or its answers cannot be parsed.
    AwsUnavailable(String),
    /// Something was seen, but not everything.
    SweepIncomplete(String),
    /// The maintenance windows cannot be parsed, or never open.
    InvalidSchedule(String),
    /// The object cannot be parsed.
    InvalidSpec(String),
}

words! {
    /// The reasons of condition `Ready`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ReadyReason {
        /// The controller can do its job.
        Succeeded => "everything that was requested can be done or is done",
        /// The object or its profile is suspended.
        Suspended => "the policy or its profile is suspended or being deleted",
        /// The first pass over this generation is not complete.
        Progressing => "the controller has not seen everything yet",
        /// The profile does not exist.
        ProfileNotFound => "there is no AWSAccessProfile of this name",
        /// The profile exists and is not ready.
        ProfileNotReady => "the AWSAccessProfile cannot be used",
        /// The profile does not admit the namespace.
        NamespaceNotAllowed => "the profile does not admit the namespace",
        /// A region is not one of the profile.
        RegionNotAllowed => "the profile does not have the region",
        /// A name or prefix is outside the bounds of the profile.
        SecretNotAllowed => "a name or prefix is outside the bounds of the profile",
        /// The profile does not allow the remedy.
        ActionNotAllowed => "the profile does not allow the remedy",
        /// The credentials belong to another account than the profile.
        WrongAccount => "the credentials belong to another AWS account",
        /// AWS denied a request that a sweep needs.
        AccessDenied => "AWS denied the last attempt",
        /// There are no usable AWS credentials.
        CredentialsUnavailable => "AWS credentials are missing or not valid",
        /// AWS throttles.
        Throttled => "AWS asks for fewer requests",
        /// AWS cannot be reached, or its answers cannot be parsed.
        AwsUnavailable as "AWSUnavailable" => "AWS could not be reached after repeated attempts",
        /// Something was seen, but not everything.
        SweepIncomplete => "the last check did not see everything",
        /// The maintenance windows cannot be parsed, or never open.
        InvalidSchedule => "a maintenance window can never open",
        /// The object cannot be parsed.
        InvalidSpec => "the spec contradicts itself",
    }
}

words! {
    /// The reasons of condition `Reconciling`, which is only there while it is True.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ReconcilingReason {
        /// The first pass over this generation is not complete.
        Progressing => "the controller has not seen everything yet",
        /// Something failed, and the controller retries it.
        ProgressingWithRetry => "something failed and is retried",
    }
}

impl ReadyReason {
    /// The reasons that only a change of the object or of the bounds of its profile can end: those of condition `Stalled`.
    pub const STALLED: [Self; 4] = [
        Self::InvalidSpec,
        Self::InvalidSchedule,
        Self::NamespaceNotAllowed,
        Self::RegionNotAllowed,
    ];

    /// Returns the value of condition `Ready`.
    pub const fn status(self) -> ConditionStatus {
        match self {
            Self::Succeeded | Self::Suspended => ConditionStatus::True,
            Self::Progressing => ConditionStatus::Unknown,
            Self::ProfileNotFound
            | Self::ProfileNotReady
            | Self::NamespaceNotAllowed
            | Self::RegionNotAllowed
            | Self::SecretNotAllowed
            | Self::ActionNotAllowed
            | Self::WrongAccount
            | Self::AccessDenied
            | Self::CredentialsUnavailable
            | Self::Throttled
            | Self::AwsUnavailable
            | Self::SweepIncomplete
            | Self::InvalidSchedule
            | Self::InvalidSpec => ConditionStatus::False,
        }
    }

    /// Returns whether only a change of the object or of the bounds of its profile can help.
    pub fn is_stalled(self) -> bool {
        Self::STALLED.contains(&self)
    }

    /// Returns whether the last check did not see every secret.
    pub const fn is_incomplete_check(self) -> bool {
        matches!(
            self,
            Self::SweepIncomplete
                | Self::AccessDenied
                | Self::CredentialsUnavailable
                | Self::Throttled
                | Self::AwsUnavailable
        )
    }

    /// Returns the reason of condition `Ready` of an object; `None` if there is none, or only a newer release knows it.
    pub fn of(conditions: &[Condition]) -> Option<Self> {
        find(conditions, ConditionType::Ready).and_then(|ready| Self::parse(&ready.reason))
    }
}

impl Readiness {
    /// Returns the reason of condition `Ready`.
    pub const fn reason(&self) -> ReadyReason {
        match self {
            Self::Succeeded => ReadyReason::Succeeded,
            Self::Suspended | Self::ProfileSuspended(_) => ReadyReason::Suspended,
            Self::Progressing => ReadyReason::Progressing,
            Self::ProfileNotFound(_) => ReadyReason::ProfileNotFound,
            Self::ProfileNotReady(_) => ReadyReason::ProfileNotReady,
            Self::NamespaceNotAllowed(_) => ReadyReason::NamespaceNotAllowed,
            Self::RegionNotAllowed(_) => ReadyReason::RegionNotAllowed,
            Self::SecretNotAllowed(_) => ReadyReason::SecretNotAllowed,
            Self::ActionNotAllowed(_) => ReadyReason::ActionNotAllowed,
            Self::WrongAccount(_) => ReadyReason::WrongAccount,
            Self::AccessDenied(_) => ReadyReason::AccessDenied,
            Self::CredentialsUnavailable(_) => ReadyReason::CredentialsUnavailable,
            Self::Throttled(_) => ReadyReason::Throttled,
            Self::AwsUnavailable(_) => ReadyReason::AwsUnavailable,
            Self::SweepIncomplete(_) => ReadyReason::SweepIncomplete,
            Self::InvalidSchedule(_) => ReadyReason::InvalidSchedule,
            Self::InvalidSpec(_) => ReadyReason::InvalidSpec,
        }
    }

    /// Returns the sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::Succeeded => "everything that is requested can be done".to_owned(),
            Self::Suspended => {
                "suspended: no checks run and no operation starts or continues; set spec.suspend to false"
                    .to_owned()
            }
            Self::ProfileSuspended(profile) => format!(
                "suspended: no checks run and no operation starts or continues for any policy of AWSAccessProfile {profile}; ask an admin to set its spec.suspend to false"
            ),
            Self::Progressing => "waiting for the first complete check".to_owned(),
            Self::ProfileNotFound(profile) => {
                format!("AWSAccessProfile {profile} does not exist; ask an admin to create it")
            }
            Self::ProfileNotReady(profile) => {
                format!("AWSAccessProfile {profile} is not ready; see its conditions")
            }
            Self::NamespaceNotAllowed(message)
            | Self::RegionNotAllowed(message)
            | Self::SecretNotAllowed(message)
            | Self::ActionNotAllowed(message)
            | Self::WrongAccount(message)
            | Self::AccessDenied(message)
            | Self::CredentialsUnavailable(message)
            | Self::Throttled(message)
            | Self::AwsUnavailable(message)
            | Self::SweepIncomplete(message)
            | Self::InvalidSchedule(message)
            | Self::InvalidSpec(message) => message.clone(),
        }
    }

    /// Returns the readiness for problems with AWS in some regions, or `None` if no region has any. The message names
    /// each region with its cause. The reason is that of a problem that only people can fix, if there is one.
    pub fn in_regions(gaps: &[(Region, AwsError)]) -> Option<Self> {
        let (_, worst) = gaps.iter().min_by_key(|(_, gap)| urgency(gap.class))?;
        let mut causes: Vec<(String, Vec<&str>)> = Vec::new();
        for (region, gap) in gaps {
            let cause = gap.lasting().to_string();
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, regions)) => regions.push(region.as_str()),
                None => causes.push((cause, vec![region.as_str()])),
            }
        }
        let causes = causes.iter();
        let causes = causes.map(|(cause, regions)| format!("{}: {cause}", regions.join(", ")));
        Some(Self::of_class(
            worst.class,
            causes.collect::<Vec<_>>().join("; "),
        ))
    }

    fn of_class(class: ErrorClass, message: String) -> Self {
        match class.group() {
            ErrorGroup::Denied => Self::AccessDenied(message),
            ErrorGroup::Credentials => Self::CredentialsUnavailable(message),
            ErrorGroup::Throttled => Self::Throttled(message),
            ErrorGroup::Unavailable | ErrorGroup::Answered => Self::AwsUnavailable(message),
        }
    }

    /// Returns whether the policy or its profile is suspended.
    pub const fn is_suspended(&self) -> bool {
        matches!(self, Self::Suspended | Self::ProfileSuspended(_))
    }

    /// Returns whether the health of secrets that were seen before stays as it is.
    pub(crate) const fn leaves_health(&self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Suspended
                | Self::ProfileSuspended(_)
                | Self::Progressing
                | Self::Throttled(_)
                | Self::AwsUnavailable(_)
                | Self::SweepIncomplete(_)
                | Self::InvalidSchedule(_)
        )
    }

    /// Returns whether AWS refuses to let the controller read. Earlier findings are then still the best that is
    /// known, but nothing shows that healthy secrets are still healthy.
    pub(crate) const fn leaves_findings(&self) -> bool {
        matches!(
            self,
            Self::AccessDenied(_) | Self::CredentialsUnavailable(_)
        )
    }

    /// Returns condition `Ready`.
    pub(crate) fn ready(&self) -> ConditionUpdate {
        ConditionUpdate {
            kind: ConditionType::Ready,
            status: self.reason().status(),
            reason: self.reason().name(),
            message: self.message(),
        }
    }

    /// Returns condition `Stalled` or `Reconciling`, as kstatus reads them, or `None` if the object is ready.
    pub(crate) fn progress(&self) -> Option<ConditionUpdate> {
        let (kind, reason) = match self.reason().status() {
            ConditionStatus::True => return None,
            ConditionStatus::Unknown => (
                ConditionType::Reconciling,
                ReconcilingReason::Progressing.name(),
            ),
            ConditionStatus::False if self.reason().is_stalled() => {
                (ConditionType::Stalled, self.reason().name())
            }
            ConditionStatus::False => (
                ConditionType::Reconciling,
                ReconcilingReason::ProgressingWithRetry.name(),
            ),
        };
        Some(ConditionUpdate {
            kind,
            status: ConditionStatus::True,
            reason,
            message: self.message(),
        })
    }
}

impl From<&Refusal> for Readiness {
    fn from(refusal: &Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::ProfileMismatch { profile, .. } | Refusal::ProfileGone { profile } => {
                Self::ProfileNotFound(profile.clone())
            }
            Refusal::ProfileSuspended { profile } => Self::ProfileSuspended(profile.clone()),
            Refusal::PolicySuspended => Self::Suspended,
            Refusal::NamespaceNotAllowed { .. } => Self::NamespaceNotAllowed(message),
            Refusal::RegionNotAllowed { .. } => Self::RegionNotAllowed(message),
            Refusal::AccountNotAllowed { .. }
            | Refusal::SecretNotAllowed { .. }
            | Refusal::NotSelected { .. } => Self::SecretNotAllowed(message),
            Refusal::ActionNotAllowed { .. } => Self::ActionNotAllowed(message),
        }
    }
}

/// Ranks the urgency of causes, the most urgent first: someone must fix a denial or credentials, someone should know
/// about throttling, and the rest may pass without action.
const fn urgency(class: ErrorClass) -> u8 {
    match class.group() {
        ErrorGroup::Denied | ErrorGroup::Credentials => 0,
        ErrorGroup::Throttled => 1,
        ErrorGroup::Unavailable | ErrorGroup::Answered => 2,
    }
}

impl From<&Invalid> for Readiness {
    fn from(invalid: &Invalid) -> Self {
        Self::InvalidSpec(invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(region: &str, class: ErrorClass, code: &str) -> (Region, AwsError) {
        let error = AwsError {
            class,
            code: Some(code.to_owned()),
            request_id: Some(format!("r-{region}")),
        };
        (Region::parse(region).expect("a region"), error)
    }

    #[test]
    fn the_message_about_aws_stays_the_same_from_pass_to_pass() {
        let denied = gap("eu-west-1", ErrorClass::Denied, "AccessDeniedException");
        let mut again = denied.clone();
        again.1.request_id = Some("r-2".to_owned());
        let readiness = Readiness::in_regions(&[denied]);
        let message = "eu-west-1: AWS denied access (AccessDeniedException)";
        assert_eq!(readiness, Some(Readiness::AccessDenied(message.to_owned())));
        assert_eq!(readiness, Readiness::in_regions(&[again]));
        assert_eq!(Readiness::in_regions(&[]), None);
    }

    #[test]
    fn each_region_is_named_with_its_own_cause() {
        let readiness = Readiness::in_regions(&[
            gap("eu-central-1", ErrorClass::Unreachable, "ProxyRefused"),
            gap(
                "eu-south-1",
                ErrorClass::Credentials,
                "UnrecognizedClientException",
            ),
            gap(
                "eu-west-1",
                ErrorClass::Credentials,
                "ExpiredTokenException",
            ),
            gap(
                "us-east-1",
                ErrorClass::Credentials,
                "ExpiredTokenException",
            ),
        ]);
        assert_eq!(
            readiness,
            Some(Readiness::CredentialsUnavailable(
                "eu-central-1: the proxy on the way to AWS refused the connection (ProxyRefused); \
                 eu-south-1: the region does not accept these AWS credentials: it is not enabled for the account, \
                 or they are not valid there (UnrecognizedClientException); \
                 eu-west-1, us-east-1: the AWS session has expired (ExpiredTokenException)"
                    .to_owned()
            ))
        );
    }

    #[test]
    fn trouble_that_passes_hides_none_that_only_people_can_end() {
        let dead = || {
            gap(
                "eu-central-1",
                ErrorClass::Unreachable,
                "InternalServiceError",
            )
        };
        let slow = || gap("eu-north-1", ErrorClass::Throttled, "ThrottlingException");
        let denied = || gap("eu-west-1", ErrorClass::Denied, "AccessDeniedException");
        for (gaps, reason) in [
            (vec![dead()], "AWSUnavailable"),
            (vec![dead(), slow()], "Throttled"),
            (vec![dead(), slow(), denied()], "AccessDenied"),
        ] {
            let readiness = Readiness::in_regions(&gaps).expect("trouble");
            assert_eq!(readiness.reason().name(), reason);
        }
    }

    #[test]
    fn a_refusal_keeps_its_reason() {
        let profile = || ProfileName::parse("default").expect("valid");
        let namespace = secret_rotation_core::names::Namespace::parse("prod").expect("valid");
        let refusal = Refusal::NamespaceNotAllowed {
            profile: profile(),
            namespace,
        };
        assert_eq!(Readiness::from(&refusal).reason().name(), refusal.reason());
        let region = Region::parse("eu-west-1").expect("valid");
        let refusal = Refusal::RegionNotAllowed {
            profile: profile(),
            region,
        };
        assert_eq!(Readiness::from(&refusal).reason().name(), refusal.reason());
        assert_eq!(Readiness::from(&refusal).message(), refusal.to_string());
    }
}

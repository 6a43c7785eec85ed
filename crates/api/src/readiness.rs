//! Whether the controller can do its job for an object: the reason of condition `Ready`.

use secret_rotation_core::{
    authorise::Refusal,
    aws_error::{AwsError, ErrorClass, ErrorGroup},
    names::{ProfileName, Region},
};

use crate::{
    Invalid,
    conditions::{ConditionStatus, ConditionUpdate},
};

/// Whether the controller can do its job for this generation of an object, and why not.
///
/// The text of a variant is the sentence for people. It must not change from pass to pass, so it holds neither
/// ages nor request ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Succeeded,
    /// It would, but somebody asked it to stand still.
    Suspended,
    /// An admin suspended the profile, and with it every policy of the profile.
    ProfileSuspended(ProfileName),
    /// The first visit to this generation is not over.
    Progressing,
    /// The profile does not exist.
    ProfileNotFound(ProfileName),
    /// The profile exists and is not in order.
    ProfileNotReady(ProfileName),
    /// The profile does not admit the namespace.
    NamespaceNotAllowed(String),
    /// A region lies beyond the profile's.
    RegionNotAllowed(String),
    /// A name or prefix lies beyond the profile's ceiling.
    SecretNotAllowed(String),
    /// The remedy asked for lies beyond the profile's allowed actions.
    ActionNotAllowed(String),
    /// The AWS credentials are those of another account than the profile's.
    WrongAccount(String),
    /// AWS denied a request that sweeping needs.
    AccessDenied(String),
    /// There are no usable AWS credentials.
    CredentialsUnavailable(String),
    /// AWS throttles.
    Throttled(String),
    /// AWS cannot be reached, or answers with nonsense.
    AwsUnavailable(String),
    /// Something was seen, but not everything.
    SweepIncomplete(String),
    /// The maintenance windows cannot be understood, or never open.
    InvalidSchedule(String),
    /// The object cannot be understood.
    InvalidSpec(String),
}

impl Readiness {
    /// The condition reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Suspended | Self::ProfileSuspended(_) => "Suspended",
            Self::Progressing => "Progressing",
            Self::ProfileNotFound(_) => "ProfileNotFound",
            Self::ProfileNotReady(_) => "ProfileNotReady",
            Self::NamespaceNotAllowed(_) => "NamespaceNotAllowed",
            Self::RegionNotAllowed(_) => "RegionNotAllowed",
            Self::SecretNotAllowed(_) => "SecretNotAllowed",
            Self::ActionNotAllowed(_) => "ActionNotAllowed",
            Self::WrongAccount(_) => "WrongAccount",
            Self::AccessDenied(_) => "AccessDenied",
            Self::CredentialsUnavailable(_) => "CredentialsUnavailable",
            Self::Throttled(_) => "Throttled",
            Self::AwsUnavailable(_) => "AWSUnavailable",
            Self::SweepIncomplete(_) => "SweepIncomplete",
            Self::InvalidSchedule(_) => "InvalidSchedule",
            Self::InvalidSpec(_) => "InvalidSpec",
        }
    }

    /// The sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::Succeeded => "everything that is asked for can be done".to_owned(),
            Self::Suspended => {
                "suspended: nothing is checked and nothing is done; set spec.suspend to false"
                    .to_owned()
            }
            Self::ProfileSuspended(profile) => format!(
                "suspended: nothing is checked and nothing is done for any policy of AWSAccessProfile {profile}; ask an admin to set its spec.suspend to false"
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

    /// Trouble with AWS in some regions: each is named with its cause. The reason is that of the trouble which only people
    /// can end, if there is such a one. `None` = no region has any.
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

    /// The value of condition `Ready`.
    pub const fn status(&self) -> ConditionStatus {
        match self {
            Self::Succeeded | Self::Suspended | Self::ProfileSuspended(_) => ConditionStatus::True,
            Self::Progressing => ConditionStatus::Unknown,
            Self::ProfileNotFound(_)
            | Self::ProfileNotReady(_)
            | Self::NamespaceNotAllowed(_)
            | Self::RegionNotAllowed(_)
            | Self::SecretNotAllowed(_)
            | Self::ActionNotAllowed(_)
            | Self::WrongAccount(_)
            | Self::AccessDenied(_)
            | Self::CredentialsUnavailable(_)
            | Self::Throttled(_)
            | Self::AwsUnavailable(_)
            | Self::SweepIncomplete(_)
            | Self::InvalidSchedule(_)
            | Self::InvalidSpec(_) => ConditionStatus::False,
        }
    }

    /// Returns whether the policy or its profile is suspended.
    pub const fn is_suspended(&self) -> bool {
        matches!(self, Self::Suspended | Self::ProfileSuspended(_))
    }

    /// Whether nothing but a change of the object or of its profile's bounds can help.
    pub const fn is_stalled(&self) -> bool {
        matches!(
            self,
            Self::InvalidSpec(_)
                | Self::InvalidSchedule(_)
                | Self::NamespaceNotAllowed(_)
                | Self::RegionNotAllowed(_)
        )
    }

    /// Whether nothing follows from it about secrets that were seen before.
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

    /// Whether AWS lets nobody look: what was found before is still the best that is known, but nothing vouches for what was
    /// well.
    pub(crate) const fn leaves_findings(&self) -> bool {
        matches!(
            self,
            Self::AccessDenied(_) | Self::CredentialsUnavailable(_)
        )
    }

    /// Condition `Ready`.
    pub(crate) fn ready(&self) -> ConditionUpdate {
        ConditionUpdate {
            kind: "Ready",
            status: self.status(),
            reason: self.reason(),
            message: self.message(),
        }
    }

    /// Condition `Stalled` or `Reconciling`, as kstatus reads them; neither once all is well.
    pub(crate) fn progress(&self) -> Option<ConditionUpdate> {
        let (kind, reason) = match self.status() {
            ConditionStatus::True => return None,
            ConditionStatus::Unknown => ("Reconciling", "Progressing"),
            ConditionStatus::False if self.is_stalled() => ("Stalled", self.reason()),
            ConditionStatus::False => ("Reconciling", "ProgressingWithRetry"),
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

/// Ranks causes: someone must fix a denial or credentials, someone should know about throttling, and the rest may pass by itself.
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
            assert_eq!(readiness.reason(), reason);
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
        assert_eq!(Readiness::from(&refusal).reason(), refusal.reason());
        let region = Region::parse("eu-west-1").expect("valid");
        let refusal = Refusal::RegionNotAllowed {
            profile: profile(),
            region,
        };
        assert_eq!(Readiness::from(&refusal).reason(), refusal.reason());
        assert_eq!(Readiness::from(&refusal).message(), refusal.to_string());
    }
}

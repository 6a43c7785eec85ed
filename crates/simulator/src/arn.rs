//! The ARN of a secret. Its region, account and name are parts of it, so no secret stores them a second time.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

const START: &str = "arn:aws:secretsmanager:";

/// The hyphen and six characters that AWS adds to a name.
const SUFFIX: usize = 7;

/// `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX`. Copies share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arn(Arc<str>);

impl Arn {
    /// Parses an ARN. Returns `None` if the text is not the ARN of a secret.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = split(text)?;
        let hyphen = rest.len().checked_sub(SUFFIX)?;
        (rest.get(hyphen..=hyphen) == Some("-")).then(|| Self(text.into()))
    }

    /// Builds the ARN of a secret in a scope, with six characters.
    pub(crate) fn new(scope: &str, name: &str, suffix: &str) -> Self {
        Self(format!("{START}{scope}:secret:{name}-{suffix}").into())
    }

    /// Returns the region and account as `REGION:ACCOUNT`.
    pub(crate) fn scope(&self) -> &str {
        split(&self.0).unwrap_or_default().0
    }

    pub(crate) fn region(&self) -> &str {
        self.scope().split_once(':').unwrap_or_default().0
    }

    pub(crate) fn account(&self) -> &str {
        self.scope().split_once(':').unwrap_or_default().1
    }

    pub(crate) fn name(&self) -> &str {
        let (_, rest) = split(&self.0).unwrap_or_default();
        &rest[..rest.len().saturating_sub(SUFFIX)]
    }

    /// Returns the ARN of the replica or primary in a region. It differs only in the region.
    pub(crate) fn within(&self, region: &str) -> Self {
        let rest = &self.0[START.len() + self.region().len()..];
        Self(format!("{START}{region}{rest}").into())
    }
}

/// Returns the scope and the name of an ARN. The name still has its suffix if the ARN is complete.
pub(crate) fn split(arn: &str) -> Option<(&str, &str)> {
    let rest = arn.strip_prefix(START)?;
    let region = rest.find(':')?;
    let scope = region + 1 + rest[region + 1..].find(':')?;
    Some((&rest[..scope], rest[scope..].strip_prefix(":secret:")?))
}

impl Deref for Arn {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Arn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// An ARN in the order of names. `app-1` and `app` are in another order as ARNs, because of the hyphen of the suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByName(pub(crate) Arn);

impl ByName {
    /// Returns a key that is before all ARNs of a name and after those of smaller names.
    pub(crate) fn start_of(scope: &str, name: &str) -> Self {
        Self(Arn::new(scope, name, "\0\0\0\0\0\0"))
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        let names = self.0.name().cmp(other.0.name());
        names.then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team:a/app-1-AbCdEf";

    #[test]
    fn an_arn_contains_region_account_and_name() {
        let arn = Arn::parse(TEXT).unwrap();
        let parts = [arn.region(), arn.account(), arn.name()];
        assert_eq!(parts, ["eu-west-1", "111122223333", "team:a/app-1"]);
        let built = Arn::new("eu-west-1:111122223333", "team:a/app-1", "AbCdEf");
        assert_eq!(built, arn);
    }

    #[test]
    fn the_arn_of_a_replica_differs_in_the_region_only() {
        let replica = Arn::parse(TEXT).unwrap().within("us-east-1");
        assert_eq!(*replica, TEXT.replace("eu-west-1", "us-east-1"));
    }

    #[test]
    fn other_texts_are_not_arns() {
        for text in [
            "",
            "app",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app",
            "arn:aws:secretsmanager:eu-west-1:secret:app-AbCdEf",
            "arn:aws:sqs:eu-west-1:111122223333:secret:app-AbCdEf",
        ] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_have_an_order_of_their_own() {
        let arn = |name: &str| Arn::new("eu-west-1:111122223333", name, "zzzzzz");
        let (short, long) = (arn("app"), arn("app-1"));
        assert!(short > long);
        assert!(ByName(short.clone()) < ByName(long));
        assert!(ByName::start_of(short.scope(), "app") < ByName(short));
    }
}

//! One sweep over everything in scope: cheap reads first, then a closer look where core asks for details.
//!
//! This module does not judge secrets, and its results are not fresh enough for a decision to write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::inventory::{Detail, Inventory, Observation};
use secret_rotation_core::names::{Arn, SecretName};
use secret_rotation_core::pin;
use secret_rotation_core::secret::{Secret, VersionListing};
use secret_rotation_core::time::AwsTime;
use tokio::task::JoinSet;

use crate::account::Account;

use crate::errors::{self, CallError};
use crate::scope::Scope;

/// The maximum number of concurrent closer looks.
const MAX_CONCURRENT_DESCRIBES: usize = 8;

/// The maximum number of version ages that one sweep looks up, so that it stays short. The next sweeps look up the
/// others.
pub const MAX_VERSION_AGES: usize = 50;

/// The maximum number of secrets missing from the list that one sweep looks at, one by one.
const MAX_MISSED: usize = 100;

/// After this many consecutive closer looks without an answer, the sweep gives up on the region and leaves the rest to
/// the next sweep.
const MAX_UNANSWERED: usize = 8;

/// One secret that needs a closer look, and its last observation.
struct LookTarget {
    id: TargetId,
    last: Option<Observation>,
}

enum TargetId {
    /// The scope names the secret.
    Named(SecretName),
    /// The list contains the secret.
    Listed(Box<Secret>),
    /// The secret was known before, and a complete list does not contain it.
    Missed(Box<Secret>),
}

/// A name that could not be described.
struct UndescribedName {
    name: SecretName,
    last: Option<Observation>,
    error: AwsError,
}

/// The result of a closer look: the time of the answer, if there was one, and the secret, if it exists.
struct LookResult {
    at: Option<AwsTime>,
    seen: Result<Option<Observation>, AwsError>,
}

impl LookResult {
    /// Returns the error if AWS did not answer.
    fn unanswered(&self) -> Option<AwsError> {
        let error = self.seen.as_ref().err();
        error.filter(|error| !is_answer(error.class)).cloned()
    }
}

impl Account {
    /// Sweeps the scope. This costs about `ceil(n / 100)` lists, and one or two reads for each secret that is not at
    /// rest.
    ///
    /// * `last` is the previous sweep of the same scope. It decides which secrets need a closer look and which versions
    ///   are known already.
    /// * A listed secret that is not `wanted` gets no closer look.
    /// * With `max_age`, the sweep looks up the age of current versions that no date shows, for some secrets in each
    ///   sweep, and keeps it.
    ///
    /// A secret whose closer look failed is [`unreadable`](Observation::unreadable). A name of which nothing else is
    /// known is [`unread`](Inventory::unread). Neither is a gap, because a refusal is an answer. A list that ended
    /// early, or a name without an answer, is a [`gap`](Inventory::gap). Without any answer, [`time`](Inventory::time)
    /// is the clock of the account, or 1970.
    pub async fn inventory(
        &self,
        scope: &Scope,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
        max_age: Option<Duration>,
    ) -> Inventory {
        let mut sweep = Sweep::new(self);
        let targets = match scope {
            Scope::Names(names) => targets_by_name(names, last),
            Scope::Prefixes(prefixes) => sweep.list(Some(prefixes), last, wanted).await,
            Scope::Everything => sweep.list(None, last, wanted).await,
        };
        // Order matters: `resolve_failed` handles the failures of `look_at_all`, and the ages are those of the secrets
        // that both keep.
        sweep.look_at_all(targets).await;
        sweep.resolve_failed().await;
        if let Some(max_age) = max_age {
            sweep.look_up_ages(last, wanted, max_age).await;
        }
        sweep.finish()
    }

    async fn look_at(&self, target: &LookTarget) -> LookResult {
        let described = self
            .describe(
                &self.sweep_client(),
                target.id.as_str(),
                &self.shared_reads(),
            )
            .await;
        let (secret, at) = match described {
            Ok(answer) => (answer.value, Some(answer.at)),
            Err(CallError { error, at }) => {
                return LookResult {
                    at,
                    seen: Err(error),
                };
            }
        };
        let seen = match secret {
            Some(secret) => Some(self.observe(secret, target.last.as_ref()).await),
            None => None,
        };
        LookResult { at, seen: Ok(seen) }
    }

    /// Adds the versions where they matter. They are read once for each new pending version and then kept.
    async fn observe(&self, secret: Secret, last: Option<&Observation>) -> Observation {
        if !Observation::versions_needed(&secret, last) {
            let versions = last.and_then(|last| kept(&secret, last));
            return Observation {
                versions,
                ..Observation::listed(secret)
            };
        }
        let (client, arn) = (self.sweep_client(), secret.arn.as_str());
        let (versions, unreadable) = match self.versions(&client, arn, &self.shared_reads()).await {
            Ok(versions) => (Some(versions), None),
            Err(error) => (None, Some(error)),
        };
        Observation {
            secret,
            versions,
            unreadable,
            unseen: None,
        }
    }
}

/// Returns the versions of the last observation, which still describe this state. A secret at rest needs none.
fn kept(secret: &Secret, last: &Observation) -> Option<VersionListing> {
    let unrested = secret.unfinished().is_some() || pin::has_any(secret);
    last.versions.clone().filter(|_| unrested)
}

fn targets_by_name(
    names: &BTreeSet<SecretName>,
    last: &BTreeMap<Arn, Observation>,
) -> Vec<LookTarget> {
    let known: BTreeMap<_, _> = last
        .values()
        .map(|seen| (&seen.secret.name, seen))
        .collect();
    let target = |name: &SecretName| LookTarget {
        id: TargetId::Named(name.clone()),
        last: known.get(name).map(|seen| (*seen).clone()),
    };
    names.iter().map(target).collect()
}

impl TargetId {
    fn as_str(&self) -> &str {
        match self {
            Self::Named(name) => name.as_str(),
            Self::Listed(secret) | Self::Missed(secret) => secret.arn.as_str(),
        }
    }
}

/// A sweep in progress.
pub(crate) struct Sweep<'a> {
    pub(crate) account: &'a Account,
    time: Option<AwsTime>,
    secrets: BTreeMap<Arn, Observation>,
    missing: Vec<SecretName>,
    gone: BTreeSet<Arn>,
    unread: BTreeMap<SecretName, AwsError>,
    failed: Vec<UndescribedName>,
    gap: Option<AwsError>,
}

impl<'a> Sweep<'a> {
    const fn new(account: &'a Account) -> Self {
        Self {
            account,
            time: None,
            secrets: BTreeMap::new(),
            missing: Vec::new(),
            gone: BTreeSet::new(),
            unread: BTreeMap::new(),
            failed: Vec::new(),
            gap: None,
        }
    }

    /// Records the time of an answer. The sweep keeps the oldest one.
    pub(crate) fn record_time(&mut self, at: Option<AwsTime>) {
        self.time = self.time.into_iter().chain(at).min();
    }

    /// Records a gap. The sweep keeps the first one.
    pub(crate) fn record_gap(&mut self, error: AwsError) {
        self.gap.get_or_insert(error);
    }

    /// Records a malformed entry of a list that names its secret.
    pub(crate) fn record_malformed(&mut self, name: SecretName, error: AwsError) {
        self.unread.insert(name, error);
    }

    /// Lists secrets, keeps those for which the list is enough, and returns those that need a closer look.
    async fn list(
        &mut self,
        prefixes: Option<&BTreeSet<String>>,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
    ) -> Vec<LookTarget> {
        let listed = self.listed(prefixes).await;
        let mut targets = self.missed(&listed, last, wanted);
        for (arn, secret) in listed {
            let last = last.get(&arn);
            match Observation::detail_needed(&secret, last) {
                Detail::Described if wanted(&secret) => targets.push(LookTarget {
                    id: TargetId::Listed(Box::new(secret)),
                    last: last.cloned(),
                }),
                Detail::Listed | Detail::Described => {
                    self.secrets.insert(arn, Observation::listed(secret));
                }
            }
        }
        targets
    }

    /// Returns the known secrets that a complete list does not contain, for a look whether they still exist. A secret
    /// whose list entry is malformed is kept as unreadable instead.
    fn missed(
        &mut self,
        listed: &BTreeMap<Arn, Secret>,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
    ) -> Vec<LookTarget> {
        let mut targets = Vec::new();
        for (arn, known) in last {
            if listed.contains_key(arn) || !wanted(&known.secret) {
                continue;
            }
            if let Some(error) = self.unread.remove(&known.secret.name) {
                let unlisted = Observation {
                    unreadable: Some(error),
                    unseen: None,
                    ..known.clone()
                };
                self.keep(unlisted);
            } else if self.gap.is_none() && targets.len() < MAX_MISSED {
                targets.push(LookTarget {
                    id: TargetId::Missed(Box::new(known.secret.clone())),
                    last: Some(known.clone()),
                });
            }
        }
        targets
    }

    /// Looks at all targets. If AWS stops answering, the remaining targets get the last error without a request.
    async fn look_at_all(&mut self, targets: Vec<LookTarget>) {
        let mut targets = targets.into_iter();
        let mut looks = JoinSet::new();
        let (mut unanswered, mut last) = (0, None);
        loop {
            while looks.len() < MAX_CONCURRENT_DESCRIBES
                && unanswered < MAX_UNANSWERED
                && let Some(target) = targets.next()
            {
                let account = self.account.clone();
                looks.spawn(async move { (account.look_at(&target).await, target) });
            }
            match looks.join_next().await {
                Some(Ok((result, target))) => {
                    last = result.unanswered();
                    unanswered = last.as_ref().map_or(0, |_| unanswered + 1);
                    self.record(target, result);
                }
                Some(Err(_)) => self.record_gap(errors::unexpected()),
                None => break,
            }
        }
        let Some(error) = last else { return };
        for target in targets {
            self.record_gap(error.clone());
            let seen = Err(error.clone());
            self.record(target, LookResult { at: None, seen });
        }
    }

    /// Looks up the ages of current versions. Versions from an earlier sweep are kept while the same version is
    /// current. After a failure the age stays unknown.
    async fn look_up_ages(
        &mut self,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
        max_age: Duration,
    ) {
        let Some(now) = self.time else { return };
        let oldest = now.minus(max_age);
        let mut looked_up = 0;
        for (arn, seen) in &mut self.secrets {
            if !seen.age_needed(oldest) || !wanted(&seen.secret) {
                continue;
            }
            let known = last
                .get(arn)
                .filter(|last| last.secret.current() == seen.secret.current());
            seen.versions = known.and_then(|known| known.versions.clone());
            if seen.age_needed(oldest) && looked_up < MAX_VERSION_AGES {
                looked_up += 1;
                self.account.ages().take().await;
                let (client, tokens) = (self.account.sweep_client(), self.account.shared_reads());
                let listing = self.account.versions(&client, arn.as_str(), &tokens).await;
                let is_silent = listing.as_ref().is_err_and(|error| !is_answer(error.class));
                seen.versions = listing.ok().or(seen.versions.take());
                if is_silent {
                    return;
                }
            }
        }
    }

    fn record(&mut self, target: LookTarget, LookResult { at, seen }: LookResult) {
        self.record_time(at);
        match (seen, target.id) {
            (Ok(Some(seen)), _) => self.keep(seen),
            (Ok(None), TargetId::Named(name)) => self.missing.push(name),
            (Ok(None), TargetId::Listed(secret)) => self.missing.push(secret.name),
            (Ok(None), TargetId::Missed(secret)) => {
                self.gone.insert(secret.arn);
            }
            (Err(error), TargetId::Listed(secret)) => {
                self.keep(unreadable(*secret, target.last, error));
            }
            (Err(_), TargetId::Missed(_)) => {}
            (Err(error), TargetId::Named(name)) => self.failed.push(UndescribedName {
                name,
                last: target.last,
                error,
            }),
        }
    }

    /// Finds out whether failed names exist. IAM denies a name that does not exist in the same way as a name that may
    /// not be read. `ListSecrets` needs another permission and distinguishes the two. Names without an answer are a
    /// gap.
    async fn resolve_failed(&mut self) {
        let mut may_list = true;
        let denied_everything = self.secrets.is_empty() && self.missing.is_empty();
        for UndescribedName { name, last, error } in std::mem::take(&mut self.failed) {
            if !is_answer(error.class) {
                self.record_gap(error);
                continue;
            }
            let listed = if may_list {
                self.find(&name).await
            } else {
                Found::Unknown
            };
            match listed {
                Found::Listed(secret) => self.keep(unreadable(*secret, last, error)),
                Found::Absent => {}
                Found::Unknown => self.leave_unread(name, last, error),
                Found::Refused(refusal) if refusal.class == ErrorClass::Denied => {
                    may_list = false;
                    if denied_everything {
                        self.record_gap(refusal);
                    }
                    self.leave_unread(name, last, error);
                }
                Found::Refused(refusal) => {
                    may_list = false;
                    self.record_gap(refusal);
                    self.leave_unread(name, last, error);
                }
            }
        }
    }

    /// Keeps the last observation of a name as unreadable, or records the name as unread if there is none.
    fn leave_unread(&mut self, name: SecretName, last: Option<Observation>, error: AwsError) {
        match last {
            Some(last) => self.keep(Observation {
                unreadable: Some(error),
                unseen: None,
                ..last
            }),
            None => {
                self.unread.insert(name, error);
            }
        }
    }

    fn keep(&mut self, seen: Observation) {
        self.secrets.insert(seen.secret.arn.clone(), seen);
    }

    fn finish(mut self) -> Inventory {
        self.missing.sort();
        let unknown = AwsTime::new(Timestamp::UNIX_EPOCH);
        Inventory {
            time: self.time.or_else(|| self.account.now()).unwrap_or(unknown),
            region: self.account.region().clone(),
            secrets: self.secrets,
            missing: self.missing,
            gone: self.gone,
            unread: self.unread,
            completed: None,
            looked_again: BTreeMap::new(),
            gap: self.gap,
        }
    }
}

/// The result of a list filtered by one name.
pub(crate) enum Found {
    /// The secret exists.
    Listed(Box<Secret>),
    /// The secret does not exist.
    Absent,
    /// The list does not show whether the secret exists.
    Unknown,
    /// The list was refused or ended early.
    Refused(AwsError),
}

/// Returns whether AWS answered the request, even if with a refusal.
const fn is_answer(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Unreachable | ErrorClass::Throttled | ErrorClass::Credentials => false,
        ErrorClass::Denied
        | ErrorClass::RotationPending
        | ErrorClass::Refused
        | ErrorClass::Mismatch
        | ErrorClass::Gone
        | ErrorClass::CannotInvoke
        | ErrorClass::LimitExceeded
        | ErrorClass::Malformed
        | ErrorClass::Unexpected => true,
    }
}

/// Returns the best observation of a secret that could not be described: the later of the list entry and the last
/// description. The list may be the only source that shows that the secret is stuck now.
fn unreadable(listed: Secret, last: Option<Observation>, error: AwsError) -> Observation {
    let seen = match last {
        Some(last) if last.secret.last_changed >= listed.last_changed => last,
        Some(last) => Observation {
            versions: kept(&listed, &last).filter(|_| {
                last.secret.current() == listed.current()
                    && last.secret.unfinished() == listed.unfinished()
            }),
            ..Observation::listed(listed)
        },
        None => Observation::listed(listed),
    };
    Observation {
        unreadable: Some(error),
        unseen: None,
        ..seen
    }
}

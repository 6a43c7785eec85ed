//! One sweep over everything in scope: the cheapest reads first, a closer look where core asks for one.
//!
//! Nothing here judges a secret, and nothing here is fresh enough to write on.

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

/// Closer looks at a time.
const MAX_CONCURRENT_DESCRIBES: usize = 8;

/// At most this many ages are looked up in one sweep, so that it stays short; the others follow in the next ones.
pub const MAX_VERSION_AGES: usize = 50;

/// Secrets that a list misses are looked at one by one, but no more than this in one sweep.
const MAX_MISSED: usize = 100;

/// So many closer looks in a row without an answer: the region is in trouble, and the rest is left for another sweep.
const UNANSWERED: usize = 8;

/// One secret that needs a closer look, and what is known of it.
struct Target {
    id: Id,
    last: Option<Observation>,
}

enum Id {
    /// Asked for by name.
    Named(SecretName),
    /// Found in a list.
    Listed(Box<Secret>),
    /// Known before, and missed by a complete list.
    Missed(Box<Secret>),
}

/// A name that could not be described.
struct Failed {
    name: SecretName,
    last: Option<Observation>,
    error: AwsError,
}

/// A closer look: when AWS answered, if it did, and what was there, if anything.
struct Closer {
    at: Option<AwsTime>,
    seen: Result<Option<Observation>, AwsError>,
}

impl Closer {
    /// Why there was no answer.
    fn silence(&self) -> Option<AwsError> {
        let error = self.seen.as_ref().err();
        error.filter(|error| !is_answer(error.class)).cloned()
    }
}

impl Account {
    /// Sweeps the scope, about `ceil(n / 100)` lists and one or two reads for each secret that is not at rest.
    ///
    /// `last` is the previous sweep of the same scope: it tells which secrets need a closer look, and which
    /// versions are known already. A listed secret that is not `wanted` gets no closer look. A secret whose closer look failed
    /// is there as `unreadable`, and a name of which nothing else is known is `unread`: neither is a gap, for a refusal is an
    /// answer. A list that ended early, and a name without an answer, is a `gap`. Where `max_age` is given, the age of current versions that no date tells is looked up, of some
    /// secrets in each sweep, and kept. Without any answer `time` is the account's clock, or 1970.
    pub async fn inventory(
        &self,
        scope: &Scope,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
        max_age: Option<Duration>,
    ) -> Inventory {
        let mut sweep = Sweep::new(self);
        let targets = match scope {
            Scope::Names(names) => named(names, last),
            Scope::Prefixes(prefixes) => sweep.list(Some(prefixes), last, wanted).await,
            Scope::Everything => sweep.list(None, last, wanted).await,
        };
        sweep.look_closer(targets).await;
        sweep.tell_apart().await;
        if let Some(max_age) = max_age {
            sweep.look_up_ages(last, wanted, max_age).await;
        }
        sweep.finish()
    }

    async fn closer(&self, target: &Target) -> Closer {
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
                return Closer {
                    at,
                    seen: Err(error),
                };
            }
        };
        let seen = match secret {
            Some(secret) => Some(self.observe(secret, target.last.as_ref()).await),
            None => None,
        };
        Closer { at, seen: Ok(seen) }
    }

    /// Adds the versions where they matter: read once for each new pending version, then kept.
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

/// Versions that are known to be about this very state; a secret at rest needs none.
fn kept(secret: &Secret, last: &Observation) -> Option<VersionListing> {
    let unrested = secret.unfinished().is_some() || pin::has_any(secret);
    last.versions.clone().filter(|_| unrested)
}

fn named(names: &BTreeSet<SecretName>, last: &BTreeMap<Arn, Observation>) -> Vec<Target> {
    let known: BTreeMap<_, _> = last
        .values()
        .map(|seen| (&seen.secret.name, seen))
        .collect();
    let target = |name: &SecretName| Target {
        id: Id::Named(name.clone()),
        last: known.get(name).map(|seen| (*seen).clone()),
    };
    names.iter().map(target).collect()
}

impl Id {
    fn as_str(&self) -> &str {
        match self {
            Self::Named(name) => name.as_str(),
            Self::Listed(secret) | Self::Missed(secret) => secret.arn.as_str(),
        }
    }
}

/// A sweep under way.
pub(crate) struct Sweep<'a> {
    pub(crate) account: &'a Account,
    time: Option<AwsTime>,
    secrets: BTreeMap<Arn, Observation>,
    missing: Vec<SecretName>,
    gone: BTreeSet<Arn>,
    unread: BTreeMap<SecretName, AwsError>,
    failed: Vec<Failed>,
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

    /// Remembers when the oldest answer was given.
    pub(crate) fn note_time(&mut self, at: Option<AwsTime>) {
        self.time = self.time.into_iter().chain(at).min();
    }

    /// Remembers the first thing that went wrong.
    pub(crate) fn note_gap(&mut self, error: AwsError) {
        self.gap.get_or_insert(error);
    }

    /// Remembers an entry of a list that names a secret and makes no sense beside.
    pub(crate) fn note_torn(&mut self, name: SecretName, error: AwsError) {
        self.unread.insert(name, error);
    }

    /// Lists, keeps what the list tells enough of, and returns the rest.
    async fn list(
        &mut self,
        prefixes: Option<&BTreeSet<String>>,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
    ) -> Vec<Target> {
        let listed = self.listed(prefixes).await;
        let mut targets = self.missed(&listed, last, wanted);
        for (arn, secret) in listed {
            let last = last.get(&arn);
            match Observation::detail_needed(&secret, last) {
                Detail::Described if wanted(&secret) => targets.push(Target {
                    id: Id::Listed(Box::new(secret)),
                    last: last.cloned(),
                }),
                Detail::Listed | Detail::Described => {
                    self.secrets.insert(arn, Observation::listed(secret));
                }
            }
        }
        targets
    }

    /// Secrets that a complete list misses although they were known: AWS is asked whether they are gone. An entry of the list
    /// that could not be read misses nothing.
    fn missed(
        &mut self,
        listed: &BTreeMap<Arn, Secret>,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
    ) -> Vec<Target> {
        let mut targets = Vec::new();
        for (arn, known) in last {
            if listed.contains_key(arn) || !wanted(&known.secret) {
                continue;
            }
            if let Some(error) = self.unread.remove(&known.secret.name) {
                let torn = Observation {
                    unreadable: Some(error),
                    unseen: None,
                    ..known.clone()
                };
                self.keep(torn);
            } else if self.gap.is_none() && targets.len() < MAX_MISSED {
                targets.push(Target {
                    id: Id::Missed(Box::new(known.secret.clone())),
                    last: Some(known.clone()),
                });
            }
        }
        targets
    }

    /// Looks until there is nothing left, or AWS answers no more: then the rest is as if it had been asked for in vain.
    async fn look_closer(&mut self, targets: Vec<Target>) {
        let mut targets = targets.into_iter();
        let mut looks = JoinSet::new();
        let (mut unanswered, mut last) = (0, None);
        loop {
            while looks.len() < MAX_CONCURRENT_DESCRIBES
                && unanswered < UNANSWERED
                && let Some(target) = targets.next()
            {
                let account = self.account.clone();
                looks.spawn(async move { (account.closer(&target).await, target) });
            }
            match looks.join_next().await {
                Some(Ok((closer, target))) => {
                    last = closer.silence();
                    unanswered = last.as_ref().map_or(0, |_| unanswered + 1);
                    self.record(target, closer);
                }
                Some(Err(_)) => self.note_gap(errors::unexpected()),
                None => break,
            }
        }
        let Some(error) = last else { return };
        for target in targets {
            self.note_gap(error.clone());
            let seen = Err(error.clone());
            self.record(target, Closer { at: None, seen });
        }
    }

    /// Versions that were listed before are kept while the same one is current. A failure leaves the age unknown.
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

    fn record(&mut self, target: Target, Closer { at, seen }: Closer) {
        self.note_time(at);
        match (seen, target.id) {
            (Ok(Some(seen)), _) => self.keep(seen),
            (Ok(None), Id::Named(name)) => self.missing.push(name),
            (Ok(None), Id::Listed(secret)) => self.missing.push(secret.name),
            (Ok(None), Id::Missed(secret)) => {
                self.gone.insert(secret.arn);
            }
            (Err(error), Id::Listed(secret)) => {
                self.keep(unreadable(*secret, target.last, error));
            }
            (Err(_), Id::Missed(_)) => {}
            (Err(error), Id::Named(name)) => self.failed.push(Failed {
                name,
                last: target.last,
                error,
            }),
        }
    }

    /// IAM refuses names that do not exist as it refuses those that may not be read. A list of names is another permission,
    /// and tells the two apart, with what it knows of the secret. Only answers are looked into: where none came, the region is
    /// in trouble, and that is a gap.
    async fn tell_apart(&mut self) {
        let mut may_list = true;
        let denied_everything = self.secrets.is_empty() && self.missing.is_empty();
        for Failed { name, last, error } in std::mem::take(&mut self.failed) {
            if !is_answer(error.class) {
                self.note_gap(error);
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
                        self.note_gap(refusal);
                    }
                    self.leave_unread(name, last, error);
                }
                Found::Refused(refusal) => {
                    may_list = false;
                    self.note_gap(refusal);
                    self.leave_unread(name, last, error);
                }
            }
        }
    }

    /// A description, even an old one, beats nothing.
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

/// What a list of names shows of one of them.
pub(crate) enum Found {
    /// It is there.
    Listed(Box<Secret>),
    /// It is not.
    Absent,
    /// A list by name cannot tell.
    Unknown,
    /// The list was refused, or ended early.
    Refused(AwsError),
}

/// Whether AWS answered the question, if only with a refusal.
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

/// The best view there is of a secret that could not be described: the later of a list and an earlier description, for
/// the list alone may show that it has got stuck since.
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

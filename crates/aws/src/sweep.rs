//! One sweep over everything in scope: the cheapest reads first, a closer look where core asks for one.
//!
//! Nothing here judges a secret, and nothing here is fresh enough to write on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use secret_rotation_core::clock::AwsTime;
use secret_rotation_core::identity::{Arn, SecretName};
use secret_rotation_core::inventory::{Detail, Inventory, Observation};
use secret_rotation_core::outcome::AwsError;
use secret_rotation_core::pin;
use secret_rotation_core::secret::{Secret, VersionListing};
use tokio::task::JoinSet;

use crate::account::Account;
use crate::apply::Rejected;
use crate::errors;
use crate::scope::Scope;

/// Closer looks at a time.
const ABREAST: usize = 8;

/// At most this many ages are looked up in one sweep, so that it stays short; the others follow in the next ones.
const MAX_AGES: usize = 50;

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
}

/// A closer look: when AWS answered, if it did, and what was there, if anything.
struct Closer {
    at: Option<AwsTime>,
    seen: Result<Option<Observation>, AwsError>,
}

impl Account {
    /// Sweeps the scope, about `ceil(n / 100)` lists and one or two reads for each secret that is not at rest.
    ///
    /// `last` is the previous sweep of the same scope: it tells which secrets need a closer look, and which
    /// versions are known already. A listed secret that is not `wanted` gets no closer look. A secret whose closer look failed is there as `unreadable`; a list that
    /// ended early is a `gap`. Where `max_age` is given, the age of current versions that no date tells is looked up, of some
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
        if let Some(max_age) = max_age {
            sweep.look_up_ages(last, wanted, max_age).await;
        }
        sweep.finish()
    }

    async fn closer(&self, target: &Target) -> Closer {
        let described = self
            .describe(&self.sweeper(), target.id.as_str(), &self.turn())
            .await;
        let (secret, at) = match described {
            Ok(answer) => (answer.value, Some(answer.at)),
            Err(Rejected { error, at }) => {
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
        let (client, arn) = (self.sweeper(), secret.arn.as_str());
        let (versions, unreadable) = match self.versions(&client, arn, &self.turn()).await {
            Ok(versions) => (Some(versions), None),
            Err(error) => (None, Some(error)),
        };
        Observation {
            secret,
            versions,
            unreadable,
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
            Self::Listed(secret) => secret.arn.as_str(),
        }
    }
}

/// A sweep under way.
pub(crate) struct Sweep<'a> {
    pub(crate) account: &'a Account,
    time: Option<AwsTime>,
    secrets: BTreeMap<Arn, Observation>,
    missing: Vec<SecretName>,
    gap: Option<AwsError>,
}

impl<'a> Sweep<'a> {
    const fn new(account: &'a Account) -> Self {
        Self {
            account,
            time: None,
            secrets: BTreeMap::new(),
            missing: Vec::new(),
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

    /// Lists, keeps what the list tells enough of, and returns the rest.
    async fn list(
        &mut self,
        prefixes: Option<&BTreeSet<String>>,
        last: &BTreeMap<Arn, Observation>,
        wanted: &(dyn Fn(&Secret) -> bool + Sync),
    ) -> Vec<Target> {
        let mut targets = Vec::new();
        for (arn, secret) in self.listed(prefixes).await {
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

    async fn look_closer(&mut self, targets: Vec<Target>) {
        let mut targets = targets.into_iter();
        let mut looks = JoinSet::new();
        loop {
            while looks.len() < ABREAST
                && let Some(target) = targets.next()
            {
                let account = self.account.clone();
                looks.spawn(async move { (account.closer(&target).await, target) });
            }
            match looks.join_next().await {
                Some(Ok((closer, target))) => self.record(target, closer),
                Some(Err(_)) => self.note_gap(errors::unexpected()),
                None => return,
            }
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
            if seen.age_needed(oldest) && looked_up < MAX_AGES {
                looked_up += 1;
                self.account.ages().take().await;
                let (client, payer) = (self.account.sweeper(), self.account.turn());
                let listing = self.account.versions(&client, arn.as_str(), &payer);
                seen.versions = listing.await.ok().or(seen.versions.take());
            }
        }
    }

    fn record(&mut self, target: Target, Closer { at, seen }: Closer) {
        self.note_time(at);
        match (seen, target.id) {
            (Ok(Some(seen)), _) => self.keep(seen),
            (Ok(None), Id::Named(name)) => self.missing.push(name),
            (Ok(None), Id::Listed(_)) => {}
            (Err(error), id) => match unreadable(id, target.last, &error) {
                Some(seen) => self.keep(seen),
                None => self.note_gap(error),
            },
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
            gap: self.gap,
        }
    }
}

/// The best view there is of a secret that could not be described: a description, even an old one, beats a list.
fn unreadable(id: Id, last: Option<Observation>, error: &AwsError) -> Option<Observation> {
    let seen = match (last, id) {
        (Some(last), _) => last,
        (None, Id::Listed(secret)) => Observation::listed(*secret),
        (None, Id::Named(_)) => return None,
    };
    Some(Observation {
        unreadable: Some(error.clone()),
        ..seen
    })
}

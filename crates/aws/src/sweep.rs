//! One sweep over everything in scope: cheap reads first, then a closer look where core asks for details. Each page goes
//! into the engine and is dropped, so that a sweep needs no memory of its own.
//!
//! This module does not judge secrets, and its results are not fresh enough for a decision to write.

use std::collections::BTreeSet;

use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::engine::{Ended, Read, SharedEngine};
use secret_rotation_core::inventory::{Detail, Observation};
use secret_rotation_core::names::{AccountId, Arn, SecretName, Uid};
use secret_rotation_core::secret::{Secret, VersionListing};
use secret_rotation_core::time::AwsTime;
use tokio::task::JoinSet;

use crate::account::Account;
use crate::errors::{self, CallError};
use crate::list_secrets::{Found, Page, Pages};
use crate::scope::Scope;

/// The maximum number of concurrent closer looks.
const MAX_CONCURRENT_DESCRIBES: usize = 8;

/// The maximum number of secrets missing from the list that one sweep looks at, one by one.
const MAX_MISSED: usize = 100;

/// After this many consecutive closer looks without an answer, the sweep gives up on closer looks and leaves the rest to
/// the next sweep.
const MAX_UNANSWERED: usize = 8;

/// What to read.
#[derive(Clone, Debug)]
pub struct SweepPlan {
    /// Where to look for secrets.
    pub scope: Scope,
    /// The policies whose selection the scope covers.
    pub policies: BTreeSet<Uid>,
    /// Whether these are all policies that are read now, so that whatever is not seen was missed.
    pub is_whole: bool,
    /// The maximum number of version ages to look up, so that a sweep stays short. The next sweeps look up the others.
    pub max_ages: usize,
}

/// The result of a sweep, besides what the engine has taken.
#[derive(Clone, Debug)]
pub struct Swept {
    /// The read, by which the engine shows what it saw.
    pub read: Read,
    /// The error that made the sweep incomplete, if it is.
    pub gap: Option<AwsError>,
    /// The accounts of the secrets that AWS showed. There is more than one only while credentials change.
    pub accounts: BTreeSet<AccountId>,
    /// The number of secrets that AWS showed.
    pub shown: usize,
}

/// The result of looks at single secrets.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The secrets that were read.
    pub seen: Vec<Secret>,
    /// Secrets for which AWS did not answer, to look at again.
    pub unanswered: BTreeSet<Arn>,
}

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
    error: AwsError,
}

/// The result of a closer look: the time of the answer, if there was one, and the secret, if it exists.
struct LookResult {
    at: Option<AwsTime>,
    seen: Result<Option<Observation>, AwsError>,
}

impl LookResult {
    /// Returns the error if AWS did not answer.
    fn unanswered(&self) -> Option<&AwsError> {
        let error = self.seen.as_ref().err();
        error.filter(|error| !is_answer(error.class))
    }
}

impl Account {
    /// Sweeps the scope into the engine. This costs about `ceil(n / 100)` lists, and one or two reads for each secret
    /// that is not at rest.
    ///
    /// A secret whose closer look failed is [`unreadable`](Observation::unreadable). A name of which nothing else is
    /// known is [unread](secret_rotation_core::engine::Engine::unread). Neither is a gap, because a refusal is an answer.
    /// A list that ended early, or a name without an answer, is a [`gap`](Swept::gap).
    pub async fn sweep(&self, plan: &SweepPlan, engine: &impl SharedEngine) -> Swept {
        let read = engine.with(|sights| sights.engine.begin(&plan.policies, plan.is_whole));
        let mut sweep = Sweep::new(self, engine, read);
        match &plan.scope {
            Scope::Names(names) => sweep.look_at_names(names).await,
            Scope::Prefixes(prefixes) => sweep.list(Some(prefixes)).await,
            Scope::Everything => sweep.list(None).await,
        }
        // Order matters: ages are looked up of what was seen, and only the end shows what is gone.
        sweep.resolve_failed().await;
        sweep.look_up_ages(plan.max_ages).await;
        sweep.finish()
    }

    /// Looks at known secrets again. A secret that cannot be read now stays as it was known: the next sweep shows
    /// whether the failure lasts.
    pub async fn refresh(
        &self,
        secrets: Vec<Observation>,
        engine: &impl SharedEngine,
    ) -> Refreshed {
        let read = engine.with(|sights| sights.engine.begin(&BTreeSet::new(), false));
        let mut sweep = Sweep::new(self, engine, read);
        let targets = secrets.into_iter().map(|last| LookTarget {
            id: TargetId::Missed(Box::new(last.secret.clone())),
            last: Some(last),
        });
        let mut refreshed = Refreshed {
            seen: Vec::new(),
            unanswered: BTreeSet::new(),
        };
        let results = sweep.look_at_all(targets.collect()).await;
        for (target, result) in results {
            let is_silent = result.unanswered().is_some();
            match (result.seen, target.id) {
                (Ok(Some(seen)), _) if seen.unreadable.is_none() => {
                    refreshed.seen.push(seen.secret.clone());
                    sweep.take(result.at, &seen);
                }
                (Err(_), TargetId::Missed(secret)) if is_silent => {
                    refreshed.unanswered.insert(secret.arn);
                }
                (Ok(_) | Err(_), _) => {}
            }
        }
        let read = &sweep.read;
        engine.with(|sights| sights.engine.end(read, &Ended::default()));
        refreshed
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

/// Returns the versions of the last observation, if they still describe this state.
fn kept(secret: &Secret, last: &Observation) -> Option<VersionListing> {
    let subject = |secret: &Secret| (secret.unfinished().cloned(), secret.current().cloned());
    let same = subject(secret) == subject(&last.secret);
    last.versions.clone().filter(|_| same)
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
pub(crate) struct Sweep<'a, E> {
    pub(crate) account: &'a Account,
    engine: &'a E,
    read: Read,
    accounts: BTreeSet<AccountId>,
    shown: usize,
    /// Whether some secret was described, or is known not to exist.
    is_any_described: bool,
    /// Malformed entries of lists that name their secrets.
    malformed: Vec<(SecretName, AwsError)>,
    failed: Vec<UndescribedName>,
    /// How many closer looks in a row had no answer, and the last error.
    unanswered: (usize, Option<AwsError>),
    gap: Option<AwsError>,
}

impl<'a, E: SharedEngine> Sweep<'a, E> {
    const fn new(account: &'a Account, engine: &'a E, read: Read) -> Self {
        Self {
            account,
            engine,
            read,
            accounts: BTreeSet::new(),
            shown: 0,
            is_any_described: false,
            malformed: Vec::new(),
            failed: Vec::new(),
            unanswered: (0, None),
            gap: None,
        }
    }

    /// Records the time of an answer.
    fn record_time(&mut self, at: Option<AwsTime>) {
        if let Some(at) = at {
            let read = &self.read;
            self.engine.with(|sights| sights.engine.note_time(read, at));
        }
    }

    /// Records a gap. The sweep keeps the first one.
    fn record_gap(&mut self, error: AwsError) {
        self.gap.get_or_insert(error);
    }

    /// Passes what a closer look saw to the engine.
    fn take(&mut self, at: Option<AwsTime>, seen: &Observation) {
        self.record_time(at);
        let read = &self.read;
        self.engine.with(|sights| sights.take(read, seen));
    }

    /// Describes every name.
    async fn look_at_names(&mut self, names: &BTreeSet<SecretName>) {
        let target = |name: &SecretName| LookTarget {
            id: TargetId::Named(name.clone()),
            last: self.engine.with(|sights| sights.engine.last(name)),
        };
        let targets = names.iter().map(target).collect();
        self.look_closer(targets).await;
    }

    /// Lists secrets page by page, and looks closer where core asks for it.
    async fn list(&mut self, prefixes: Option<&BTreeSet<String>>) {
        let mut pages = Pages::of(self.account, prefixes);
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => {
                    let targets = self.read_page(page);
                    self.look_closer(targets).await;
                }
                Err(CallError { error, at }) => {
                    self.record_time(at);
                    self.record_gap(error);
                }
            }
        }
        for (name, error) in std::mem::take(&mut self.malformed) {
            self.leave_unread(name, error);
        }
        if self.gap.is_none() {
            self.look_at_missed().await;
        }
    }

    /// Passes one page to the engine. Returns the secrets that need a closer look.
    fn read_page(&mut self, page: Page) -> Vec<LookTarget> {
        self.record_time(Some(page.at));
        self.shown += page.secrets.len();
        for secret in &page.secrets {
            if !self.accounts.contains(secret.arn.account()) {
                self.accounts.insert(secret.arn.account().clone());
            }
        }
        self.malformed.extend(page.malformed);
        if let Some(error) = page.unnamed {
            self.record_gap(error);
        }
        let (read, secrets) = (&self.read, page.secrets);
        self.engine.with(|sights| {
            let wanted = secrets.into_iter().filter_map(|secret| {
                let detail = sights.listed(read, &secret);
                (detail == Detail::Described).then(|| LookTarget {
                    last: sights.engine.last(&secret.name),
                    id: TargetId::Listed(Box::new(secret)),
                })
            });
            wanted.collect()
        })
    }

    /// Looks at the known secrets that a complete list does not contain: do they still exist?
    async fn look_at_missed(&mut self) {
        let read = &self.read;
        let missed = self
            .engine
            .with(|sights| sights.engine.unseen_in(read, MAX_MISSED));
        let targets = missed.into_iter().map(|last| LookTarget {
            id: TargetId::Missed(Box::new(last.secret.clone())),
            last: Some(last),
        });
        self.look_closer(targets.collect()).await;
    }

    async fn look_closer(&mut self, targets: Vec<LookTarget>) {
        for (target, result) in self.look_at_all(targets).await {
            self.record(target, result);
        }
    }

    /// Looks at all targets. If AWS stops answering, the remaining targets get the last error without a request.
    async fn look_at_all(&mut self, targets: Vec<LookTarget>) -> Vec<(LookTarget, LookResult)> {
        let mut targets = targets.into_iter();
        let mut looks = JoinSet::new();
        let mut results = Vec::new();
        loop {
            while looks.len() < MAX_CONCURRENT_DESCRIBES
                && self.unanswered.0 < MAX_UNANSWERED
                && let Some(target) = targets.next()
            {
                let account = self.account.clone();
                looks.spawn(async move { (account.look_at(&target).await, target) });
            }
            match looks.join_next().await {
                Some(Ok((result, target))) => {
                    let error = result.unanswered().cloned();
                    let count = error.as_ref().map_or(0, |_| self.unanswered.0 + 1);
                    self.unanswered = (count, error);
                    results.push((target, result));
                }
                Some(Err(_)) => self.record_gap(errors::unexpected()),
                None => break,
            }
        }
        if let Some(error) = self.unanswered.1.clone() {
            for target in targets {
                self.record_gap(error.clone());
                let seen = Err(error.clone());
                results.push((target, LookResult { at: None, seen }));
            }
        }
        results
    }

    fn record(&mut self, target: LookTarget, LookResult { at, seen }: LookResult) {
        self.record_time(at);
        match (seen, target.id) {
            (Ok(Some(seen)), id) => {
                self.is_any_described = true;
                if matches!(id, TargetId::Named(_)) {
                    self.shown += 1;
                    self.accounts.insert(seen.secret.arn.account().clone());
                }
                self.take(None, &seen);
            }
            (Ok(None), TargetId::Named(name)) => self.record_absent(&name, at, false),
            (Ok(None), TargetId::Listed(secret)) => self.record_absent(&secret.name, at, false),
            (Ok(None), TargetId::Missed(secret)) => self.record_absent(&secret.name, at, true),
            (Err(error), TargetId::Listed(secret)) => {
                self.take(None, &unreadable(*secret, target.last, error));
            }
            (Err(_), TargetId::Missed(_)) => {}
            (Err(error), TargetId::Named(name)) => {
                self.failed.push(UndescribedName { name, error });
            }
        }
    }

    fn record_absent(&mut self, name: &SecretName, at: Option<AwsTime>, is_unlisted: bool) {
        self.is_any_described = true;
        let (Some(at), read) = (at, &self.read) else {
            return;
        };
        self.engine
            .with(|sights| sights.engine.absent(read, name, at, is_unlisted));
    }

    /// Looks up the ages of current versions that no date shows. After a failure the age stays unknown.
    async fn look_up_ages(&mut self, limit: usize) {
        let read = &self.read;
        let needed = self
            .engine
            .with(|sights| sights.engine.ages_needed(read, limit));
        for seen in needed {
            self.account.ages().take().await;
            let (client, tokens) = (self.account.sweep_client(), self.account.shared_reads());
            let arn = seen.secret.arn.as_str();
            match self.account.versions(&client, arn, &tokens).await {
                Ok(versions) => {
                    let seen = Observation {
                        versions: Some(versions),
                        ..seen
                    };
                    self.take(None, &seen);
                }
                Err(error) if !is_answer(error.class) => return,
                Err(_) => {}
            }
        }
    }

    /// Finds out whether failed names exist. IAM denies a name that does not exist in the same way as a name that may
    /// not be read. `ListSecrets` needs another permission and distinguishes the two. Names without an answer are a
    /// gap.
    async fn resolve_failed(&mut self) {
        let mut may_list = true;
        let denied_everything = !self.is_any_described;
        for UndescribedName { name, error } in std::mem::take(&mut self.failed) {
            if !is_answer(error.class) {
                self.record_gap(error);
                continue;
            }
            let listed = if may_list {
                self.account.find(&name).await
            } else {
                Found::Unknown
            };
            match listed {
                Found::Listed(secret) => {
                    let last = self.engine.with(|sights| sights.engine.last(&name));
                    self.shown += 1;
                    self.take(None, &unreadable(*secret, last, error));
                }
                Found::Absent => {}
                Found::Unknown => self.leave_unread(name, error),
                Found::Refused(refusal) if refusal.class == ErrorClass::Denied => {
                    may_list = false;
                    if denied_everything {
                        self.record_gap(refusal);
                    }
                    self.leave_unread(name, error);
                }
                Found::Refused(refusal) => {
                    may_list = false;
                    self.record_gap(refusal);
                    self.leave_unread(name, error);
                }
            }
        }
    }

    /// Keeps the last observation of a name as unreadable, or records the name as unread if there is none.
    fn leave_unread(&mut self, name: SecretName, error: AwsError) {
        let read = &self.read;
        self.engine.with(|sights| sights.unread(read, name, error));
    }

    fn finish(self) -> Swept {
        let ended = Ended {
            gap: self.gap.clone(),
        };
        self.engine.with(|sights| {
            sights.engine.end(&self.read, &ended);
            if let Some(now) = self.account.now() {
                sights.stability.forget_older_than_gap(now);
            }
        });
        Swept {
            read: self.read,
            gap: self.gap,
            accounts: self.accounts,
            shown: self.shown,
        }
    }
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
            versions: kept(&listed, &last),
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

//! What is known of the secrets of one profile in one region, and what each policy makes of it, kept up to date row by
//! row. Work follows change: an unchanged secret costs one comparison, whatever the number of policies.
//!
//! * Rows: one compact row for each secret that some policy selects, updated in place.
//! * Index: which policies may select a secret, and which secrets a policy may select.
//! * Tally: the counts and verdicts of one policy, changed by the difference that a row makes.
//!
//! A verdict is made as of the time at which the secret was seen, and states until when it holds. So a sweep judges
//! again only what changed or what has waited long enough, and a secret that cannot be seen keeps its verdict.
//!
//! This module neither reads from AWS nor knows the time. The caller passes each answer with its time.

mod assess;
pub(crate) mod compact;
mod index;
mod intern;
mod row;
mod rows;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use self::assess::{expects, holds_until, judge, selects};
use self::compact::Micros;
use self::index::{Index, Names};
use self::row::{Content, Shared, is_unrested};
use self::rows::{Row, RowId, Rows, Tick};
use self::tally::{Held, Standing, Tally};
use crate::assemble::{Members, Part, assemble, finding};
use crate::aws_error::AwsError;
use crate::inventory::{Detail, Observation, Unseen};
use crate::names::{Arn, FunctionArn, ObjectKey, Region, SecretName, Uid};
use crate::operation_index::OperationIndex;
use crate::ownership::BoundPolicy;
use crate::policy::Detection;
use crate::secret::{Secret, VersionListing};
use crate::selector::{Matcher, Selector};
use crate::stability::StabilityTracker;
use crate::survey::{
    Finding, PreviousFinding, PreviousFindings, State, Survey, UnremarkableSecret,
};
use crate::time::AwsTime;
use crate::verdict;

pub use self::assess::Facts;

/// Builds the survey of a policy from the engines of its regions. `previous` counts for what no row shows: names, and
/// findings from before the controller started.
pub fn survey(
    bound: &BoundPolicy,
    engines: &[&Engine],
    previous: &PreviousFindings,
    facts: Facts<'_>,
) -> Survey {
    let uid = &bound.policy.uid;
    let parts = engines.iter().filter_map(|engine| engine.part(uid, facts));
    assemble(
        &bound.tenant,
        &bound.profile,
        &bound.policy,
        parts.collect(),
        previous,
    )
}

/// What a read of AWS changes, and what judging needs besides.
#[derive(Debug)]
pub struct Sights<'a> {
    /// The engine of the region.
    pub engine: &'a mut Engine,
    /// The unfinished rotations as this process has watched them.
    pub stability: &'a mut StabilityTracker,
    /// The operations.
    pub operations: &'a OperationIndex,
}

impl Sights<'_> {
    /// Takes an entry of a list, as [`Engine::listed`].
    pub fn listed(&mut self, read: &Read, listed: &Secret) -> Detail {
        let (engine, facts) = self.parts();
        let detail = engine.listed(read, listed, facts);
        if detail == Detail::Listed && !is_unrested(listed) {
            // A list lags, so it is no look at an unfinished rotation. It can only show that there is none.
            self.observe(read, listed, None);
        }
        detail
    }

    /// Takes what a closer look saw, as [`Engine::take`].
    pub fn take(&mut self, read: &Read, seen: &Observation) {
        // The look comes first, because the verdict depends on what was watched.
        if seen.unreadable.is_none() {
            self.observe(read, &seen.secret, seen.versions.as_ref());
        }
        let (engine, facts) = self.parts();
        engine.take(read, seen, facts);
    }

    /// Adds or replaces a policy, as [`Engine::set_policy`].
    pub fn set_policy(&mut self, bound: &Arc<BoundPolicy>, memory: &PreviousFindings) {
        let (engine, facts) = self.parts();
        engine.set_policy(bound, memory, facts);
    }

    /// Takes the answer that a name could not be read, as [`Engine::unread`].
    pub fn unread(&mut self, read: &Read, name: SecretName, error: AwsError) {
        let (engine, facts) = self.parts();
        engine.unread(read, name, error, facts);
    }

    fn observe(&mut self, read: &Read, secret: &Secret, versions: Option<&VersionListing>) {
        if let Some(at) = self.engine.time_of(read.tick) {
            self.stability.observe(secret, versions, at);
        }
    }

    const fn parts(&mut self) -> (&mut Engine, Facts<'_>) {
        let facts = Facts {
            operations: self.operations,
            stability: &*self.stability,
        };
        (&mut *self.engine, facts)
    }
}

/// Lends the engine of a region while a read goes on: the controller shares it with the policies, an audit has it
/// alone.
pub trait SharedEngine: Sync {
    /// Calls `change` with the engine. No request is in flight meanwhile.
    fn with<T>(&self, change: impl FnOnce(&mut Sights<'_>) -> T) -> T;
}

/// Two complete reads that are this far apart and both miss a secret prove that it is gone: lists lag by up to five
/// minutes.
const MIN_MISSED_TIME: Duration = Duration::from_mins(5);

/// A second response that the secret does not exist counts only after this time: reads are eventually consistent.
const MIN_CONFIRMATION_TIME: Duration = Duration::from_secs(10);

/// For this long after `DescribeSecret`, an entry of a list that is older explains itself: lists lag.
const LIST_LAG: Duration = Duration::from_mins(5);

/// Everything that is known of one profile in one region.
#[derive(Clone, Debug)]
pub struct Engine {
    region: Region,
    /// Whether secrets that no policy selects are kept.
    keeps_all: bool,
    rows: Rows,
    shared: Shared,
    index: Index,
    policies: BTreeMap<Uid, PolicyView>,
    /// The time of each read that some row or policy refers to.
    reads: BTreeMap<Tick, AwsTime>,
    last: Tick,
    /// The latest read of everything that some policy selects.
    latest: Tick,
    /// When a complete read first missed a row, or AWS first responded that it does not exist.
    missed: BTreeMap<RowId, AwsTime>,
    /// Secrets that were proved gone and that lists may still show.
    gone: BTreeMap<SecretName, Gone>,
    /// Names that could not be read and of which nothing else is known, with the read that failed.
    unread: BTreeMap<SecretName, (Tick, AwsError)>,
}

/// A secret that was proved gone.
#[derive(Clone, Copy, Debug)]
struct Gone {
    created: Micros,
    /// When it was proved.
    at: AwsTime,
}

/// One policy, and what it makes of the region.
#[derive(Clone, Debug)]
struct PolicyView {
    bound: Arc<BoundPolicy>,
    /// What the policy selects within the bounds of its profile.
    selection: Arc<Selector>,
    tally: Tally,
    /// The latest read of everything that the policy selects.
    read: Option<Tick>,
    /// What that read covered.
    covered: Option<Coverage>,
    /// What the latest complete read covered.
    completely: Option<Arc<Selector>>,
    gap: Option<AwsError>,
    completed: Option<AwsTime>,
    /// What the status contained about secrets that were not seen since the controller started.
    memory: BTreeMap<SecretName, PreviousFinding>,
    changed: bool,
}

impl PolicyView {
    /// Returns whether the latest read saw everything that the policy selects now.
    const fn is_complete(&self) -> bool {
        self.gap.is_none() && self.covered.is_some()
    }
}

/// What is known of the secret that has a name.
enum Named {
    Known(RowId),
    /// The name belongs to a secret that was created later.
    Past,
    Unknown,
}

/// What a read covers for one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Coverage {
    selection: Arc<Selector>,
    max_age: Option<Duration>,
}

/// A read in progress: a sweep, a read of what some policies select, or a look at single secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    tick: Tick,
    policies: BTreeMap<Uid, Coverage>,
    is_whole: bool,
}

/// What a finished read could not see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The error that made the read incomplete, if it is.
    pub gap: Option<AwsError>,
}

impl Engine {
    /// Creates an engine that knows nothing yet.
    pub fn new(region: Region) -> Self {
        Self {
            region,
            keeps_all: false,
            rows: Rows::default(),
            shared: Shared::default(),
            index: Index::default(),
            policies: BTreeMap::new(),
            reads: BTreeMap::new(),
            last: Tick::default(),
            latest: Tick::default(),
            missed: BTreeMap::new(),
            gone: BTreeMap::new(),
            unread: BTreeMap::new(),
        }
    }

    /// Creates an engine that also keeps the secrets that no policy selects.
    pub fn of_everything(region: Region) -> Self {
        Self {
            keeps_all: true,
            ..Self::new(region)
        }
    }

    /// Returns an engine of the same region that knows nothing yet. A read in progress covers no policy of it.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self {
            keeps_all: self.keeps_all,
            // The numbers of reads continue, so that a row of a read in progress is not newer than all later reads.
            last: self.last,
            ..Self::new(self.region.clone())
        }
    }

    /// Returns the number of known secrets.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether no secret is known.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// Adds a policy, or replaces it if it has changed. `memory` is what its status contains; it is used for secrets
    /// that were not seen since the controller started.
    pub fn set_policy(
        &mut self,
        bound: &Arc<BoundPolicy>,
        memory: &PreviousFindings,
        facts: Facts<'_>,
    ) {
        let uid = bound.policy.uid.clone();
        let known = self.policies.get(&uid);
        if known.is_some_and(|known| known.bound == *bound) {
            return;
        }
        let mut stored = self.own_memory(memory);
        let mut selected_before = BTreeSet::new();
        let view = if let Some(known) = self.policies.remove(&uid) {
            self.index.remove(&uid, &known.bound.policy.selector);
            selected_before = self.rows_for(&known.bound);
            stored.clone_from(&known.memory);
            self.replaced(known, Arc::clone(bound))
        } else {
            PolicyView {
                bound: Arc::clone(bound),
                selection: selection_of(bound),
                tally: Tally::default(),
                read: None,
                covered: None,
                completely: None,
                gap: None,
                completed: None,
                memory: stored.clone(),
                changed: true,
            }
        };
        self.policies.insert(uid.clone(), view);
        self.index.insert(&uid, &bound.policy.selector);
        for id in self.rows_of(bound) {
            self.enter(&uid, id, None, true, facts);
        }
        // What the policy found before it was changed counts for the secrets that it still selects.
        if let Some(view) = self.policies.get_mut(&uid) {
            view.memory.retain(|name, _| stored.contains_key(name));
        }
        self.remove_unselected(selected_before);
    }

    /// Removes a policy, and the secrets that no other policy selects.
    pub fn remove_policy(&mut self, uid: &Uid) {
        if let Some(view) = self.policies.remove(uid) {
            self.index.remove(uid, &view.bound.policy.selector);
            let kept = self.rows_for(&view.bound);
            self.remove_unselected(kept);
        }
    }

    /// Begins a read of what some policies select. `is_whole` = these are all policies that are read now.
    pub fn begin(&mut self, policies: &BTreeSet<Uid>, is_whole: bool) -> Read {
        self.last = Tick(self.last.0.saturating_add(1));
        let coverage = |uid: &Uid| {
            let view = self.policies.get(uid)?;
            let coverage = Coverage {
                selection: Arc::clone(&view.selection),
                max_age: view.bound.policy.detection.max_age,
            };
            Some((uid.clone(), coverage))
        };
        Read {
            tick: self.last,
            policies: policies.iter().filter_map(coverage).collect(),
            is_whole,
        }
    }

    /// Records the time of an answer that belongs to the read. The oldest counts.
    pub fn note_time(&mut self, read: &Read, at: AwsTime) {
        let time = self.reads.entry(read.tick).or_insert(at);
        *time = at.min(*time);
    }

    /// Takes an entry of a list. Returns how closely the secret must be read. If that is [`Detail::Described`], the row
    /// counts as seen only when the description arrives.
    pub fn listed(&mut self, read: &Read, listed: &Secret, facts: Facts<'_>) -> Detail {
        self.assume_time(read);
        let id = match self.named(listed) {
            Named::Known(id) => id,
            Named::Past => return Detail::Listed,
            Named::Unknown => {
                if self.is_known_gone(read, listed) {
                    return Detail::Listed;
                }
                if !is_settled(listed) && is_unrested(listed) {
                    return if self.is_wanted(listed) {
                        Detail::Described
                    } else {
                        Detail::Listed
                    };
                }
                self.take(read, &Observation::listed(listed.clone()), facts);
                return Detail::Listed;
            }
        };
        if self.rows.get(id).is_some_and(|row| row.tick > read.tick) {
            return Detail::Listed;
        }
        let entry = self.shared.pack_listed(listed);
        let Some(row) = self.rows.get(id) else {
            return Detail::Listed;
        };
        let dates = (entry.last_changed, row.content.last_changed);
        if is_settled(listed) && dates.0 >= dates.1 {
            self.take(read, &Observation::listed(listed.clone()), facts);
            return Detail::Listed;
        }
        let unrested = row.content.is_unrested(&row.name, &self.region) || is_unrested(listed);
        if row.content.is_unreadable() || dates.0 > dates.1 || dates.0 == dates.1 && unrested {
            return self.wanted(id, listed);
        }
        if dates.0 < dates.1 {
            let recent = self
                .time_of(row.tick)
                .zip(self.time_of(read.tick))
                .is_some_and(|(seen, now)| now.since(seen) < LIST_LAG);
            if unrested || !recent {
                return self.wanted(id, listed);
            }
            self.see(read.tick, id, facts);
            return Detail::Listed;
        }
        let entry = entry.with_details_of(&row.content);
        if entry == row.content {
            self.see(read.tick, id, facts);
        } else {
            self.replace(read.tick, id, entry, facts);
        }
        Detail::Listed
    }

    /// Returns that a row must be described, unless no policy selects it any more.
    fn wanted(&mut self, id: RowId, listed: &Secret) -> Detail {
        if self.is_wanted(listed) {
            return Detail::Described;
        }
        self.remove(id);
        Detail::Listed
    }

    fn is_wanted(&self, secret: &Secret) -> bool {
        self.keeps_all || !self.expecting(secret).is_empty()
    }

    /// Takes what a closer look saw, or an entry of a list whose closer look failed.
    pub fn take(&mut self, read: &Read, seen: &Observation, facts: Facts<'_>) {
        self.assume_time(read);
        let known = match self.named(&seen.secret) {
            Named::Known(id) => Some(id),
            Named::Past => return,
            Named::Unknown => None,
        };
        if !self.is_wanted(&seen.secret) {
            if let Some(id) = known {
                self.remove(id);
            }
            return;
        }
        if known.is_none() && seen.unreadable.is_some() && self.is_known_gone(read, &seen.secret) {
            return;
        }
        if self.unread.remove(&seen.secret.name).is_some() {
            // Also policies that turn out not to select the secret had a finding of its name.
            self.mark_named(&seen.secret.name);
        }
        self.gone.remove(&seen.secret.name);
        let content = self.shared.pack(seen);
        match known {
            Some(id) if self.rows.get(id).is_some_and(|row| row.tick > read.tick) => {}
            Some(id) if self.rows.get(id).is_some_and(|row| row.content == content) => {
                self.see(read.tick, id, facts);
            }
            Some(id) => self.replace(read.tick, id, content, facts),
            None => self.insert(read.tick, &seen.secret.name, content, facts),
        }
    }

    /// Takes the answer that a secret does not exist. `is_unlisted` = a complete list does not contain it either, which
    /// proves that it is gone.
    pub fn absent(&mut self, read: &Read, name: &SecretName, at: AwsTime, is_unlisted: bool) {
        let Some(id) = self.rows.find(name.as_str()) else {
            return;
        };
        if self.rows.get(id).is_some_and(|row| row.tick >= read.tick) {
            return;
        }
        let first = *self.missed.entry(id).or_insert(at);
        if is_unlisted || at.since(first) >= MIN_CONFIRMATION_TIME {
            self.remove_gone(id, at);
        } else {
            self.mark(id);
        }
    }

    /// Takes the answer that a name could not be read. What is known of the secret stays, and the error is kept.
    pub fn unread(&mut self, read: &Read, name: SecretName, error: AwsError, facts: Facts<'_>) {
        if let Some(seen) = self.last(&name) {
            let seen = Observation {
                unreadable: Some(error),
                ..seen
            };
            return self.take(read, &seen, facts);
        }
        let before = self.unread.get(&name).map(|(_, error)| error);
        if before != Some(&error) {
            self.mark_named(&name);
        }
        self.unread.insert(name, (read.tick, error));
    }

    /// Returns at most `limit` known secrets that a read has not seen, for a look whether they still exist.
    pub fn unseen_in(&self, read: &Read, limit: usize) -> Vec<Observation> {
        let rows = self.rows_before(read);
        let seen = rows.into_iter().filter_map(|id| self.observation(id));
        seen.take(limit).collect()
    }

    /// Ends a read. Only a complete read can prove that a secret is gone. A read without any answer is as old as the
    /// one before it.
    pub fn end(&mut self, read: &Read, ended: &Ended) {
        self.assume_time(read);
        let time = self.time_of(read.tick);
        for (uid, coverage) in &read.policies {
            let Some(view) = self.policies.get_mut(uid) else {
                continue;
            };
            // A policy that selects something else since the read began was not read: rows may have been dropped
            // meanwhile.
            if !Arc::ptr_eq(&view.selection, &coverage.selection) {
                continue;
            }
            view.changed |= view.completed.is_none()
                || view.gap.is_some()
                || ended.gap.is_some()
                || view.covered.as_ref() != Some(coverage);
            view.gap.clone_from(&ended.gap);
            let Some(time) = time else { continue };
            view.read = Some(read.tick);
            self.latest = self.latest.max(read.tick);
            view.covered = Some(coverage.clone());
            if ended.gap.is_none() {
                view.completed = Some(time);
                view.completely = Some(Arc::clone(&coverage.selection));
                view.memory.clear();
            }
        }
        let Some(time) = time else { return };
        if ended.gap.is_none() {
            for id in self.rows_before(read) {
                self.note_missed(id, time);
            }
            self.forget_unread(read);
        }
        if read.is_whole {
            self.drop_unused();
        }
    }

    /// Returns the policies whose survey may differ from the one when this was last asked.
    pub fn take_changed(&mut self) -> BTreeMap<Uid, ObjectKey> {
        let changed = self.policies.iter_mut().filter(|(_, view)| view.changed);
        changed
            .map(|(uid, view)| {
                view.changed = false;
                (uid.clone(), view.bound.policy.key.clone())
            })
            .collect()
    }

    /// Forgets the names that an earlier read could not read and that this read covers.
    fn forget_unread(&mut self, read: &Read) {
        let is_covered = |name: &SecretName| {
            let mut views = self.views_of(read);
            read.is_whole || views.any(|view| reports(&view.bound.policy.selector, name))
        };
        let earlier = self
            .unread
            .iter()
            .filter(|(_, (tick, _))| *tick < read.tick);
        let past = earlier.filter(|(name, _)| is_covered(name));
        let past: Vec<_> = past.map(|(name, _)| name.clone()).collect();
        for name in past {
            self.unread.remove(&name);
            self.mark_named(&name);
        }
    }

    fn note_missed(&mut self, id: RowId, time: AwsTime) {
        let first = *self.missed.entry(id).or_insert(time);
        if time.since(first) >= MIN_MISSED_TIME {
            self.remove_gone(id, time);
        } else {
            self.mark(id);
        }
    }

    /// Returns when a complete read first missed a secret that the read covers and that is not proved gone, at the
    /// latest; `None` = none is missed.
    pub fn last_missed(&self, read: &Read) -> Option<AwsTime> {
        let is_covered = |id: &RowId| {
            let row = self.rows.get(*id);
            row.is_some_and(|row| self.is_covered(read, row))
        };
        let missed = self.missed.iter().filter(|(id, _)| is_covered(id));
        missed.map(|(_, first)| *first).max()
    }

    /// Returns the time of the oldest answer of a read.
    pub fn time(&self, read: &Read) -> Option<AwsTime> {
        self.time_of(read.tick)
    }

    /// Returns whether the latest read of a policy covered exactly this selection, and looked up ages for this maximum.
    /// A read of a narrower selection does not show what it left out.
    pub fn covers(&self, uid: &Uid, selection: &Selector, max_age: Option<Duration>) -> bool {
        let covered = self
            .policies
            .get(uid)
            .and_then(|view| view.covered.as_ref());
        covered.is_some_and(|covered| {
            *covered.selection == *selection
                && max_age.is_none_or(|age| covered.max_age.is_some_and(|known| known <= age))
        })
    }

    /// Returns whether the latest read of a policy covered what the policy selects.
    pub fn covers_policy(&self, bound: &BoundPolicy) -> bool {
        self.covers(&bound.policy.uid, &selection_of(bound), None)
    }

    /// Returns whether a complete read of a policy covered this selection. It is then known which secrets are absent.
    pub fn covers_completely(&self, uid: &Uid, selection: &Selector) -> bool {
        let view = self.policies.get(uid);
        let covered = view.and_then(|view| view.completely.as_ref());
        covered.is_some_and(|covered| **covered == *selection)
    }

    /// Returns why the latest read of a policy was incomplete, if it was.
    pub fn gap(&self, uid: &Uid) -> Option<&AwsError> {
        self.policies.get(uid)?.gap.as_ref()
    }

    /// Returns when everything that a policy selects was last seen.
    pub fn completed(&self, uid: &Uid) -> Option<AwsTime> {
        self.policies.get(uid)?.completed
    }

    /// Returns the policies of the engine.
    pub fn policies(&self) -> impl Iterator<Item = &BoundPolicy> {
        self.policies.values().map(|view| &*view.bound)
    }

    /// Keeps a policy that is not read for now. When it is read again, nothing that was read before counts as current.
    pub fn rest_policy(&mut self, uid: &Uid) {
        if let Some(view) = self.policies.get_mut(uid) {
            view.changed |= view.covered.is_some();
            view.covered = None;
            view.completely = None;
        }
    }

    /// Returns the policies that select a secret.
    pub fn policies_of(&self, secret: &Secret) -> Vec<ObjectKey> {
        let selection = self.selection(secret);
        let views = selection.iter().filter_map(|uid| self.policies.get(uid));
        views.map(|view| view.bound.policy.key.clone()).collect()
    }

    /// Returns whether a policy selects a secret of this name that needs no attention.
    pub fn is_unremarkable(&self, uid: &Uid, name: &SecretName) -> bool {
        let found = || {
            let view = self.policies.get(uid)?;
            let id = self.rows.find(name.as_str())?;
            let row = self.rows.get(id)?;
            let secret = row.content.secret(&row.name, &self.region)?;
            let rests = !row.content.has_vanished() && !view.tally.findings.contains_key(&id);
            Some(rests && selects(&view.bound, &secret))
        };
        found().unwrap_or(false)
    }

    /// Judges a secret again, because an operation on it has changed.
    pub fn judge_again(&mut self, arn: &Arn, facts: Facts<'_>) {
        if let Some(id) = self.id_of(arn) {
            self.judge_all(id, facts);
        }
    }

    /// Returns whether a secret with this ARN is known.
    pub fn knows(&self, arn: &Arn) -> bool {
        self.id_of(arn).is_some()
    }

    /// Returns whether the read or a later one saw the secret, and could read it.
    pub fn was_seen(&self, arn: &Arn, read: &Read) -> bool {
        let row = self.id_of(arn).and_then(|id| self.rows.get(id));
        row.is_some_and(|row| row.tick >= read.tick && !row.content.is_unreadable())
    }

    /// Returns the rotation function of a known secret.
    pub fn function(&self, arn: &Arn) -> Option<FunctionArn> {
        self.observation(self.id_of(arn)?)?
            .secret
            .function()
            .cloned()
    }

    /// Returns what was last seen of the secret that has a name.
    pub fn last(&self, name: &SecretName) -> Option<Observation> {
        self.observation(self.rows.find(name.as_str())?)
    }

    /// Returns the known secrets, by name. Everything in them is as last seen.
    pub fn observations(&self) -> impl Iterator<Item = Observation> {
        let rows = self.rows.beginning("");
        rows.filter_map(|(_, row)| row.content.observation(&row.name, &self.region, None))
    }

    /// Returns the names that could not be read and of which nothing else is known.
    pub fn unread_names(&self) -> impl Iterator<Item = (&SecretName, &AwsError)> {
        self.unread.iter().map(|(name, (_, error))| (name, error))
    }

    /// Returns the secrets that a policy selects and that need no attention, with the dates that metrics show.
    pub fn unremarkable(&self, uid: &Uid) -> impl Iterator<Item = UnremarkableSecret> {
        let view = self.policies.get(uid);
        view.into_iter().flat_map(|view| {
            let rows = self.selected(&view.bound);
            let rested = rows.filter(|(id, row, _)| {
                !row.content.has_vanished() && !view.tally.findings.contains_key(id)
            });
            rested.map(|(_, _, secret)| unremarkable(&secret, &view.bound.policy.detection))
        })
    }

    /// Returns the names of at most `limit` secrets of which only the list of versions shows the age that a policy
    /// asks for.
    pub fn ages_needed(&self, read: &Read, limit: usize) -> Vec<Observation> {
        let Some(now) = self.time_of(read.tick) else {
            return Vec::new();
        };
        let mut needed = BTreeMap::new();
        for view in read
            .policies
            .keys()
            .filter_map(|uid| self.policies.get(uid))
        {
            let Some(max_age) = view.bound.policy.detection.max_age else {
                continue;
            };
            let oldest = now.minus(max_age);
            for (id, row, _) in self.selected(&view.bound) {
                if needed.len() >= limit {
                    break;
                }
                let changed = row.content.last_changed.time();
                if row.tick < read.tick || changed.is_some_and(|changed| changed <= oldest) {
                    continue;
                }
                let seen = self.observation(id);
                if let Some(seen) = seen.filter(|seen| seen.age_needed(oldest)) {
                    needed.insert(id, seen);
                }
            }
        }
        needed.into_values().collect()
    }

    fn observation(&self, id: RowId) -> Option<Observation> {
        let row = self.rows.get(id)?;
        row.content.observation(&row.name, &self.region, None)
    }

    fn id_of(&self, arn: &Arn) -> Option<RowId> {
        let name = arn.secret_name();
        let id = self.rows.find(name.as_str())?;
        self.rows.get(id)?.content.is(arn, &name).then_some(id)
    }

    /// Builds what a policy selects in this region; `None` = nothing of it was read yet. The cost is that of its
    /// findings.
    pub(crate) fn part(&self, uid: &Uid, facts: Facts<'_>) -> Option<Part<'_>> {
        let view = self.policies.get(uid)?;
        let read = view.read?;
        let found = |id: &RowId| self.finding(view, read, *id, facts);
        Some(Part {
            region: self.region.clone(),
            time: self.time_of(read)?,
            completed: view.completed,
            is_complete: view.is_complete(),
            unread: self.unread_of(view),
            contains: Box::new(|name| {
                let id = self.rows.find(name.as_str());
                let row = id.and_then(|id| self.rows.get(id));
                row.is_some_and(|row| !row.content.has_vanished())
            }),
            members: Members {
                counts: view.tally.counts.clone(),
                region: view.tally.region,
                findings: view.tally.findings.keys().filter_map(found).collect(),
                pinned: view.tally.pinned.iter().filter_map(found).collect(),
            },
        })
    }

    /// Derives a finding again from the row and its verdict.
    fn finding(
        &self,
        view: &PolicyView,
        read: Tick,
        id: RowId,
        facts: Facts<'_>,
    ) -> Option<Finding> {
        let row = self.rows.get(id)?;
        let at = self.time_of(row.tick)?;
        let unseen = (row.tick < read).then(|| Unseen {
            since: at,
            missed: self.missed.get(&id).copied(),
        });
        let seen = row.content.observation(&row.name, &self.region, unseen)?;
        let previous = view.tally.findings.get(&id).map(Held::previous);
        let verdict = judge(&view.bound, &seen, previous.as_ref(), facts, at);
        let stability = facts.stability.stability(&seen.secret, at);
        Some(finding(&seen, verdict, stability))
    }

    fn unread_of(&self, view: &PolicyView) -> BTreeMap<SecretName, AwsError> {
        let selector = &view.bound.policy.selector;
        let unread = self.unread.iter();
        unread
            .filter(|(name, _)| reports(selector, name))
            .map(|(name, (_, error))| (name.clone(), error.clone()))
            .collect()
    }

    /// Finds the row of a secret. If another secret has the name now, the known one was deleted, and its row is removed:
    /// a name belongs to one secret, so the one that was created earlier is the one of the past.
    fn named(&mut self, seen: &Secret) -> Named {
        let Some(id) = self.rows.find(seen.name.as_str()) else {
            return Named::Unknown;
        };
        let Some(row) = self.rows.get(id) else {
            return Named::Unknown;
        };
        if row.content.is(&seen.arn, &seen.name) {
            return Named::Known(id);
        }
        let created = row.content.created.time().zip(seen.created);
        if created.is_some_and(|(known, seen)| seen < known) {
            return Named::Past;
        }
        self.remove(id);
        Named::Unknown
    }

    fn time_of(&self, tick: Tick) -> Option<AwsTime> {
        self.reads.get(&tick).copied()
    }

    /// Returns the UIDs of the policies that select a secret.
    fn selection(&self, secret: &Secret) -> BTreeSet<Uid> {
        self.policies_that(secret, selects)
    }

    /// Returns the UIDs of the policies for which it counts that a secret exists.
    fn expecting(&self, secret: &Secret) -> BTreeSet<Uid> {
        self.policies_that(secret, expects)
    }

    fn policies_that(
        &self,
        secret: &Secret,
        want: fn(&BoundPolicy, &Secret) -> bool,
    ) -> BTreeSet<Uid> {
        let name = secret.name.as_str();
        let mut policies = self.index.policies_of(name, Some(&secret.tags));
        policies.retain(|uid| {
            let view = self.policies.get(uid);
            view.is_some_and(|view| want(&view.bound, secret))
        });
        policies
    }

    /// Returns the rows that a policy selects.
    fn rows_of(&self, bound: &BoundPolicy) -> BTreeSet<RowId> {
        self.selected(bound).map(|(id, _, _)| id).collect()
    }

    /// Returns the rows that are kept for a policy.
    fn rows_for(&self, bound: &BoundPolicy) -> BTreeSet<RowId> {
        self.rows_that(bound, expects)
            .map(|(id, _, _)| id)
            .collect()
    }

    /// Visits the rows that a policy selects, each once.
    fn selected<'a>(
        &'a self,
        bound: &'a BoundPolicy,
    ) -> impl Iterator<Item = (RowId, &'a Row, Secret)> {
        self.rows_that(bound, selects)
    }

    fn rows_that<'a>(
        &'a self,
        bound: &'a BoundPolicy,
        want: fn(&BoundPolicy, &Secret) -> bool,
    ) -> impl Iterator<Item = (RowId, &'a Row, Secret)> {
        let items = &bound.policy.selector.include;
        let rows = items.iter().enumerate().flat_map(move |(number, item)| {
            let earlier = items.get(..number).unwrap_or_default();
            self.rows_named(item).filter(move |(_, row)| {
                // A row that two items name comes once.
                let mut earlier = earlier.iter().map(index::names);
                !earlier.any(|names| names.contains(&row.name))
            })
        });
        rows.filter_map(move |(id, row)| {
            let secret = row.content.secret(&row.name, &self.region)?;
            want(bound, &secret).then_some((id, row, secret))
        })
    }

    /// Returns the rows with the names that an item may select.
    fn rows_named<'a>(
        &'a self,
        item: &'a Matcher,
    ) -> Box<dyn Iterator<Item = (RowId, &'a Row)> + 'a> {
        match index::names(item) {
            Names::Exactly(names) => Box::new(names.iter().filter_map(|name| {
                let id = self.rows.find(name.as_str())?;
                Some((id, self.rows.get(id)?))
            })),
            Names::Beginning(prefix) => Box::new(self.rows.beginning(prefix)),
        }
    }

    /// Returns the policies that a read covers: those that select the same as when it began.
    fn views_of<'a>(&'a self, read: &'a Read) -> impl Iterator<Item = &'a PolicyView> {
        read.policies.iter().filter_map(|(uid, coverage)| {
            let view = self.policies.get(uid)?;
            Arc::ptr_eq(&view.selection, &coverage.selection).then_some(view)
        })
    }

    /// Returns the rows that a read covers and did not see.
    fn rows_before(&self, read: &Read) -> BTreeSet<RowId> {
        let is_before = |row: &Row| row.tick < read.tick;
        if read.is_whole {
            let rows = self.rows.all().filter(|(_, row)| is_before(row));
            let covered = rows.filter(|(_, row)| self.is_covered(read, row));
            return covered.map(|(id, _)| id).collect();
        }
        let views = self.views_of(read);
        let rows = views.flat_map(|view| self.rows_that(&view.bound, expects));
        let rows = rows.filter(|(_, row, _)| is_before(row));
        rows.map(|(id, _, _)| id).collect()
    }

    /// Returns whether the read covers a row: it counts for some of its policies, which selects the same as when the
    /// read began.
    fn is_covered(&self, read: &Read, row: &Row) -> bool {
        let secret = row.content.secret(&row.name, &self.region);
        let expecting = secret.map(|secret| self.expecting(&secret));
        expecting.unwrap_or_default().iter().any(|uid| {
            let view = self.policies.get(uid);
            let coverage = read.policies.get(uid);
            view.zip(coverage)
                .is_some_and(|(view, coverage)| Arc::ptr_eq(&view.selection, &coverage.selection))
        })
    }

    /// Marks the policies that select a row as changed.
    fn mark(&mut self, id: RowId) {
        self.mark_unseen(id, Tick::default());
    }

    /// Marks the policies as changed that select a row and were read since `before`.
    fn mark_unseen(&mut self, id: RowId, before: Tick) {
        let row = self.rows.get(id);
        let secret = row.and_then(|row| row.content.secret(&row.name, &self.region));
        let Some(secret) = secret else { return };
        for uid in self.selection(&secret) {
            if let Some(view) = self.policies.get_mut(&uid) {
                view.changed |= view.read.is_some_and(|read| read > before);
            }
        }
    }

    /// Marks the policies as changed that include a name or its prefix: whether a secret of the name exists decides
    /// what they report about the name. A policy that selects by tags alone notices at its next evaluation.
    fn mark_existence(&mut self, name: &str) {
        for uid in self.index.policies_of(name, None) {
            if let Some(view) = self.policies.get_mut(&uid) {
                view.changed = true;
            }
        }
    }

    /// Marks the policies that may select a name as changed.
    fn mark_named(&mut self, name: &SecretName) {
        for view in self.policies.values_mut() {
            view.changed |= reports(&view.bound.policy.selector, name);
        }
    }

    /// Marks a row as seen and unchanged. Judges it again if a verdict on it no longer holds.
    fn see(&mut self, tick: Tick, id: RowId, facts: Facts<'_>) {
        let now = self.time_of(tick).map_or(u32::MAX, seconds);
        let Some(row) = self.rows.get_mut(id) else {
            return;
        };
        let before = row.tick;
        row.tick = before.max(tick);
        let is_due = row.holds_until <= now;
        self.missed.remove(&id);
        // Some policy was read since without the row, so the row was unseen there.
        if before < self.latest {
            self.mark_unseen(id, before);
        }
        if is_due {
            self.judge_all(id, facts);
        }
    }

    fn insert(&mut self, tick: Tick, name: &SecretName, content: Content, facts: Facts<'_>) {
        let row = Row {
            name: name.as_str().into(),
            content,
            tick,
            holds_until: 0,
        };
        self.mark_existence(name.as_str());
        if let Some(id) = self.rows.insert(row) {
            self.enter_all(id, BTreeMap::new(), true, facts);
        }
    }

    fn replace(&mut self, tick: Tick, id: RowId, content: Content, facts: Facts<'_>) {
        let before = self.leave_all(id);
        let Some(row) = self.rows.get_mut(id) else {
            return;
        };
        let is_other = row.content.has_vanished() != content.has_vanished();
        let name = is_other.then(|| Arc::clone(&row.name));
        row.content = content;
        row.tick = tick;
        self.missed.remove(&id);
        if let Some(name) = name {
            self.mark_existence(&name);
        }
        self.enter_all(id, before, true, facts);
    }

    fn remove(&mut self, id: RowId) {
        for uid in self.leave_all(id).into_keys() {
            if let Some(view) = self.policies.get_mut(&uid) {
                view.changed = true;
            }
        }
        self.missed.remove(&id);
        if let Some(row) = self.rows.remove(id) {
            self.mark_existence(&row.name);
        }
    }

    /// Removes a row whose secret was proved gone.
    fn remove_gone(&mut self, id: RowId, at: AwsTime) {
        let row = self.rows.get(id);
        let gone = row.and_then(|row| {
            let created = row.content.created;
            Some((SecretName::parse(&*row.name).ok()?, Gone { created, at }))
        });
        self.gone.extend(gone);
        self.remove(id);
    }

    /// Returns whether an entry of a list shows a secret that was proved gone. Lists lag, so for a while they show it
    /// nevertheless.
    fn is_known_gone(&self, read: &Read, listed: &Secret) -> bool {
        let gone = self.gone.get(&listed.name).zip(self.time_of(read.tick));
        gone.is_some_and(|(gone, now)| {
            Micros::of(listed.created) <= gone.created && now.since(gone.at) < LIST_LAG
        })
    }

    /// Gives a read without a dated answer the time of the latest read, so that its rows are counted.
    fn assume_time(&mut self, read: &Read) {
        if !self.reads.contains_key(&read.tick)
            && let Some(latest) = self.reads.values().max().copied()
        {
            self.reads.insert(read.tick, latest);
        }
    }

    fn judge_all(&mut self, id: RowId, facts: Facts<'_>) {
        let before = self.leave_all(id);
        self.enter_all(id, before, false, facts);
    }

    /// Takes a row out of every policy that selects it. Returns how each counted it.
    fn leave_all(&mut self, id: RowId) -> BTreeMap<Uid, Standing> {
        let mut before = BTreeMap::new();
        let secret = self
            .rows
            .get(id)
            .filter(|row| !row.content.has_vanished())
            .and_then(|row| row.content.secret(&row.name, &self.region));
        let Some(secret) = secret else {
            return before;
        };
        for uid in self.selection(&secret) {
            if let Some(view) = self.policies.get_mut(&uid) {
                let standing = view.tally.remove(id, &secret);
                before.insert(uid, standing);
            }
        }
        before
    }

    /// Adds a row to every policy that selects it. `is_other` = the row is not as it was before.
    fn enter_all(
        &mut self,
        id: RowId,
        mut before: BTreeMap<Uid, Standing>,
        is_other: bool,
        facts: Facts<'_>,
    ) {
        let Some(row) = self.rows.get_mut(id) else {
            return;
        };
        row.holds_until = u32::MAX;
        let secret = row.content.secret(&row.name, &self.region);
        let vanished = row.content.has_vanished();
        let selection = match secret.filter(|_| !vanished) {
            Some(secret) => self.selection(&secret),
            None => BTreeSet::new(),
        };
        for uid in selection {
            let standing = before.remove(&uid);
            self.enter(&uid, id, standing.as_ref(), is_other, facts);
        }
        for uid in before.into_keys() {
            if let Some(view) = self.policies.get_mut(&uid) {
                view.changed = true;
            }
        }
    }

    /// Judges a row for a policy that selects it, and adds the verdict.
    fn enter(
        &mut self,
        uid: &Uid,
        id: RowId,
        before: Option<&Standing>,
        is_other: bool,
        facts: Facts<'_>,
    ) {
        let row = self.rows.get_mut(id);
        let row = row.filter(|row| !row.content.has_vanished());
        let (Some(view), Some(row)) = (self.policies.get_mut(uid), row) else {
            return;
        };
        let seen = row.content.observation(&row.name, &self.region, None);
        let (Some(seen), Some(at)) = (seen, self.reads.get(&row.tick)) else {
            return;
        };
        // What the status contained counts for the first verdict only.
        let stored = view.memory.remove(&seen.secret.name);
        let held = before.and_then(|before| before.held.as_ref());
        let previous = held.map(Held::previous).or(stored);
        let verdict = judge(&view.bound, &seen, previous.as_ref(), facts, *at);
        let after = view.tally.add(id, &seen.secret, &verdict);
        view.changed |= is_other && after.is_shown() || before != Some(&after);
        let until = holds_until(&verdict, &seen, &view.bound.policy.detection);
        row.holds_until = row.holds_until.min(until.map_or(0, seconds));
    }

    /// Returns the view of a policy that was changed: what it found stays as the memory of the next verdicts.
    fn replaced(&self, known: PolicyView, bound: Arc<BoundPolicy>) -> PolicyView {
        let found = known.tally.findings.iter().filter_map(|(id, held)| {
            let name = SecretName::parse(&*self.rows.get(*id)?.name).ok()?;
            Some((name, held.previous()))
        });
        let mut memory = known.memory.clone();
        memory.extend(found);
        let selection = selection_of(&bound);
        let is_same = selection == known.selection;
        PolicyView {
            // Order matters for a read in progress: it covers the policy only while this is the value that it began
            // with.
            selection: if is_same { known.selection } else { selection },
            // What was read for another selection is no longer covered, because some of its rows may be dropped.
            covered: known.covered.filter(|_| is_same),
            completely: known.completely.filter(|_| is_same),
            bound,
            tally: Tally::default(),
            memory,
            changed: true,
            ..known
        }
    }

    fn own_memory(&self, memory: &PreviousFindings) -> BTreeMap<SecretName, PreviousFinding> {
        let findings = memory.findings.iter();
        findings
            .filter(|((region, _), old)| *region == self.region && old.state != State::NotFound)
            .map(|((_, name), finding)| (name.clone(), finding.clone()))
            .collect()
    }

    /// Removes those of the rows that no policy selects any more: no read looks for them.
    fn remove_unselected(&mut self, rows: BTreeSet<RowId>) {
        if self.keeps_all {
            return;
        }
        for id in rows {
            let secret = self
                .rows
                .get(id)
                .and_then(|row| row.content.secret(&row.name, &self.region));
            if secret.is_none_or(|secret| self.expecting(&secret).is_empty()) {
                self.missed.remove(&id);
                if let Some(row) = self.rows.remove(id) {
                    self.mark_existence(&row.name);
                }
            }
        }
    }

    /// Drops the times of reads that nothing refers to any more, and shared values without a row.
    fn drop_unused(&mut self) {
        let mut used: BTreeSet<_> = self.rows.all().map(|(_, row)| row.tick).collect();
        used.extend(self.policies.values().filter_map(|view| view.read));
        used.insert(self.last);
        self.reads.retain(|tick, _| used.contains(tick));
        if let Some(now) = self.time_of(self.last) {
            self.gone.retain(|_, gone| now.since(gone.at) < LIST_LAG);
        }
        self.shared.drop_unused();
    }
}

/// Returns whether a policy reports something about a name of which nothing else is known: that it could not be read, or
/// else that it does not exist.
fn reports(selector: &Selector, name: &SecretName) -> bool {
    selector.may_select(name) || selector.exact_names().any(|expected| expected == name)
}

/// Returns whether a list shows everything that counts about the secret.
fn is_settled(listed: &Secret) -> bool {
    listed.deleted.is_some() || listed.is_replica()
}

/// Returns the whole seconds since 1970, at most as many as fit.
fn seconds(time: AwsTime) -> u32 {
    let seconds = time.timestamp().as_second().max(0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// Returns what a policy selects within the bounds of its profile. Nothing else is requested from AWS for it.
fn selection_of(bound: &BoundPolicy) -> Arc<Selector> {
    let ceilings = bound.profile.ceilings(&bound.tenant.namespace);
    Arc::new(bound.policy.selector.within(&ceilings))
}

/// Returns the dates of a secret that needs no attention.
fn unremarkable(secret: &Secret, detection: &Detection) -> UnremarkableSecret {
    UnremarkableSecret {
        name: secret.name.clone(),
        region: secret.arn.region().clone(),
        last_rotated: secret.last_rotated,
        next_rotation: secret.next_rotation,
        expires: verdict::expires(secret, detection),
    }
}

//! The model of the screen: what is known, and what of it is shown.

use std::cmp::Reverse;

use jiff::Timestamp;
use kube::ResourceExt;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_core::survey::State;

use crate::CommandError;
use crate::ui::document::Document;
use crate::ui::style::Style;
use crate::view::Events;
use crate::view::policy::{Key, PolicyView, Row};
use crate::view::policy_document;
use crate::view::secret_document;

use super::connections::Connections;
use super::watch::Scope;

/// The number of operations whose events are read.
const READ: usize = 3;

/// Everything that is known and selected.
#[derive(Debug)]
pub(super) struct Model {
    /// The name of the context.
    pub(super) cluster: String,
    /// The namespace that key `a` returns to.
    pub(super) home: String,
    pub(super) scope: Scope,
    pub(super) style: Style,
    /// The API server's time.
    pub(super) now: Option<Timestamp>,
    pub(super) policies: Vec<SecretRotationPolicy>,
    pub(super) operations: Vec<SecretRotationOperation>,
    pub(super) connections: Connections,
    pub(super) page: Page,
    /// What is selected, wherever it moves to.
    pub(super) chosen: Option<Choice>,
    /// The line of the selection, in case the selected item disappears.
    pub(super) cursor: usize,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// Whether keys edit the filter.
    pub(super) typing: bool,
    /// The result of the last request.
    pub(super) notice: Option<String>,
    /// The events of the open item; `None` before they are read.
    pub(super) events: Option<Events>,
    /// Lines by which the open page is scrolled.
    pub(super) scroll: usize,
    /// Lines by which it can be scrolled.
    pub(super) max_scroll: usize,
    /// Lines that fit on a page.
    pub(super) height: usize,
}

/// What the screen shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// All policies and secrets.
    List,
    /// One policy or secret.
    Open(Choice),
    /// The keys.
    Help,
}

/// Something that can be selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Policy { namespace: String, name: String },
    Secret(Key),
}

/// The order of the secrets of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Worst first, as the policy reports them.
    Severity,
    /// By name.
    Name,
    /// Longest in their state first.
    Since,
}

impl Sort {
    /// Returns the next order.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Severity => Self::Name,
            Self::Name => Self::Since,
            Self::Since => Self::Severity,
        }
    }

    /// Returns its name on the screen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Severity => "worst first",
            Self::Name => "by name",
            Self::Since => "longest first",
        }
    }
}

/// A line of the list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    Policy(&'a PolicyView),
    Secret(&'a PolicyView, &'a Row),
}

impl Entry<'_> {
    /// Returns what this line selects.
    pub(super) fn choice(&self) -> Choice {
        match self {
            Self::Policy(view) => Choice::Policy {
                namespace: view.namespace(),
                name: view.policy.name_any(),
            },
            Self::Secret(_, row) => Choice::Secret(row.key.clone()),
        }
    }
}

impl Choice {
    /// Returns the namespace and the name of the policy.
    pub(super) fn policy(&self) -> (&str, &str) {
        match self {
            Self::Policy { namespace, name } => (namespace, name),
            Self::Secret(key) => (&key.namespace, &key.policy),
        }
    }
}

impl Model {
    /// Returns a model without data.
    pub(super) fn new(cluster: &str, home: &str, scope: Scope, style: Style) -> Self {
        Self {
            cluster: cluster.to_owned(),
            home: home.to_owned(),
            scope,
            style,
            now: None,
            policies: Vec::new(),
            operations: Vec::new(),
            connections: Connections::default(),
            page: Page::List,
            chosen: None,
            cursor: 0,
            sort: Sort::Severity,
            filter: String::new(),
            typing: false,
            notice: None,
            events: None,
            scroll: 0,
            max_scroll: 0,
            height: 24,
        }
    }

    /// Returns policies with their secrets, sorted and filtered.
    pub(super) fn views(&self) -> Vec<PolicyView> {
        let mut views = PolicyView::all(&self.policies, &self.operations);
        for view in &mut views {
            match self.sort {
                Sort::Severity => view.rows.sort_by_key(rank),
                Sort::Name => view
                    .rows
                    .sort_by_key(|row| (row.key.secret.clone(), row.key.region.clone())),
                Sort::Since => view
                    .rows
                    .sort_by_key(|row| row.since.unwrap_or(Timestamp::MAX)),
            }
            if !self.shows(&view.title()) {
                view.rows.retain(|row| self.shows_row(row));
            }
        }
        views.retain(|view| !view.rows.is_empty() || self.shows(&view.title()));
        views
    }

    fn shows(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    fn shows_row(&self, row: &Row) -> bool {
        let words = row.activity.summary(self.now).unwrap_or_default();
        let state = row.state.clone().unwrap_or_default();
        [
            &row.key.secret,
            &row.key.region,
            &state,
            &row.message,
            &words,
        ]
        .into_iter()
        .any(|text| self.shows(text))
    }

    /// Returns the line of the selection.
    pub(super) fn position(&self, entries: &[Entry<'_>]) -> usize {
        let chosen = self.chosen.as_ref();
        let found = entries
            .iter()
            .position(|entry| Some(&entry.choice()) == chosen);
        found.unwrap_or_else(|| self.cursor.min(entries.len().saturating_sub(1)))
    }

    /// Returns the names of the newest operations on a secret; none for a policy.
    pub(super) fn operations_on(&self, choice: &Choice) -> Vec<String> {
        let Choice::Secret(key) = choice else {
            return Vec::new();
        };
        let place = Some((key.secret.clone(), key.region.clone()));
        let mut own: Vec<_> = self
            .operations
            .iter()
            .filter(|one| one.namespace().as_ref() == Some(&key.namespace))
            .filter(|one| one.secret_and_region() == place)
            .collect();
        own.sort_by_key(|one| Reverse(one.metadata.creation_timestamp.clone()));
        own.truncate(READ);
        own.into_iter().map(ResourceExt::name_any).collect()
    }

    /// Returns the document of the open item; `None` if nothing is open or it is not reported any more.
    pub(super) fn document(&self) -> Option<Document> {
        let Page::Open(choice) = &self.page else {
            return None;
        };
        let views = PolicyView::all(&self.policies, &self.operations);
        let view = views.iter().find(|view| {
            (view.namespace().as_str(), view.policy.name_any().as_str()) == choice.policy()
        })?;
        let waiting = Err(CommandError::new("being read"));
        let events = self.events.as_ref().unwrap_or(&waiting);
        let own: Vec<_> = self
            .operations
            .iter()
            .filter(|one| one.belongs_to(&view.policy))
            .cloned()
            .collect();
        match choice {
            Choice::Policy { .. } => Some(policy_document::document(
                view, &own, events, self.style, self.now,
            )),
            Choice::Secret(key) => {
                let row = view.rows.iter().find(|row| row.key == *key)?;
                Some(secret_document::document(
                    view, row, &own, events, self.style, self.now,
                ))
            }
        }
    }
}

/// Returns the lines of the list: each policy, then its secrets.
pub(super) fn entries(views: &[PolicyView]) -> Vec<Entry<'_>> {
    fn of(view: &PolicyView) -> impl Iterator<Item = Entry<'_>> {
        let secrets = view.rows.iter().map(move |row| Entry::Secret(view, row));
        std::iter::once(Entry::Policy(view)).chain(secrets)
    }
    views.iter().flat_map(of).collect()
}

/// Returns the position of the state of a secret in the order of urgency. A state that this release does not know comes last.
fn rank(row: &Row) -> usize {
    let state = row.state.as_deref().and_then(State::parse);
    let rank = state.and_then(|state| State::ALL.iter().position(|known| *known == state));
    rank.unwrap_or(State::ALL.len())
}

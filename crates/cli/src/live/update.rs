//! Messages, their effect on the model, and what they request.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::connections::{Connections, Source};
use super::model::{Choice, Model, Page, entries};
use super::watch::{ClusterUpdate, Scope};
use crate::CommandError;
use crate::view::Events;

/// Something that happened.
#[derive(Debug)]
pub(super) enum Message {
    /// An update from the cluster.
    ClusterUpdate(ClusterUpdate),
    /// The events of an item.
    Events(Choice, Events),
    /// A key was pressed.
    Key(KeyEvent),
    /// A picture was drawn: this many lines fit, and the open page can be scrolled by this many.
    Drawn { height: usize, max_scroll: usize },
    /// The result of a switch to other namespaces.
    Moved(Result<Scope, CommandError>),
    /// The result of a request.
    Answer(Result<String, CommandError>),
}

/// What to do after a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Quit.
    Quit,
    /// Request a check of a policy.
    Check { namespace: String, name: String },
    /// Watch other namespaces.
    Watch(Scope),
    /// Read the events of the open item and of these operations on it.
    Read {
        choice: Choice,
        operations: Vec<String>,
    },
}

/// Processes a message. Pure: it changes only the model.
pub(super) fn update(model: &mut Model, message: Message) -> Option<Effect> {
    match message {
        Message::ClusterUpdate(change) => apply_update(model, change),
        Message::Events(choice, events) => {
            if model.page == Page::Open(choice) {
                model.events = Some(events);
            }
            None
        }
        Message::Drawn { height, max_scroll } => {
            model.height = height;
            model.max_scroll = max_scroll;
            model.scroll = model.scroll.min(max_scroll);
            None
        }
        Message::Moved(scope) => {
            moved(model, scope);
            None
        }
        Message::Answer(answer) => {
            model.notice = Some(answer.unwrap_or_else(|failure| failure.message().to_owned()));
            None
        }
        Message::Key(key) => press(model, key),
    }
}

fn moved(model: &mut Model, scope: Result<Scope, CommandError>) {
    match scope {
        Ok(scope) => {
            model.scope = scope;
            model.policies.clear();
            model.operations.clear();
            model.connections = Connections::default();
        }
        Err(failure) => model.notice = Some(failure.message().to_owned()),
    }
}

fn apply_update(model: &mut Model, change: ClusterUpdate) -> Option<Effect> {
    let changed = match change {
        ClusterUpdate::Policies(policies) => {
            let changed = policies != model.policies;
            model.policies = policies;
            model.connections.found(Source::Policies);
            changed
        }
        ClusterUpdate::Operations(operations) => {
            let changed = operations != model.operations;
            model.operations = operations;
            model.connections.found(Source::Operations);
            changed
        }
        ClusterUpdate::Alive => {
            model.connections.found(Source::Server);
            false
        }
        ClusterUpdate::Lost(source, failure) => {
            model.connections.lost(source, model.now, failure.message());
            false
        }
    };
    match &model.page {
        Page::Open(choice) if changed => Some(read(model, choice)),
        Page::Open(_) | Page::List | Page::Help => None,
    }
}

fn press(model: &mut Model, key: KeyEvent) -> Option<Effect> {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Some(Effect::Quit);
    }
    if model.typing {
        type_filter(model, key.code);
        return None;
    }
    model.notice = None;
    match (model.page.clone(), key.code) {
        (_, KeyCode::Char('q')) => Some(Effect::Quit),
        (Page::Help, _) => {
            model.page = Page::List;
            None
        }
        (_, KeyCode::Char('?')) => {
            model.page = Page::Help;
            None
        }
        (Page::List, code) => on_list(model, code),
        (Page::Open(choice), code) => on_page(model, &choice, code),
    }
}

fn type_filter(model: &mut Model, code: KeyCode) {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an enum of crossterm with every key there is"
    )]
    match code {
        KeyCode::Enter => model.typing = false,
        KeyCode::Esc => {
            model.typing = false;
            model.filter.clear();
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(letter) => model.filter.push(letter),
        _ => {}
    }
}

fn on_list(model: &mut Model, code: KeyCode) -> Option<Effect> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an enum of crossterm with every key there is"
    )]
    match code {
        KeyCode::Char('s') => model.sort = model.sort.next(),
        KeyCode::Char('/') => model.typing = true,
        KeyCode::Esc => model.filter.clear(),
        KeyCode::Char('a') => return Some(other_namespaces(model)),
        KeyCode::Char('r') => return selected(model).map(|choice| check(&choice)),
        KeyCode::Enter => return open(model),
        other => {
            if let Some(step) = step(other, model.height) {
                move_selection(model, step);
            }
        }
    }
    None
}

fn on_page(model: &mut Model, choice: &Choice, code: KeyCode) -> Option<Effect> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an enum of crossterm with every key there is"
    )]
    match code {
        KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => model.page = Page::List,
        KeyCode::Char('r') => return Some(check(choice)),
        other => {
            if let Some(step) = step(other, model.height) {
                let scroll = model.scroll.saturating_add_signed(step);
                model.scroll = scroll.min(model.max_scroll);
            }
        }
    }
    None
}

/// Returns by how many lines a key moves.
fn step(code: KeyCode, height: usize) -> Option<isize> {
    const FAR: isize = 1 << 20;
    let page = isize::try_from(height / 2).unwrap_or(1).max(1);
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an enum of crossterm with every key there is"
    )]
    match code {
        KeyCode::Down | KeyCode::Char('j') => Some(1),
        KeyCode::Up | KeyCode::Char('k') => Some(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(page),
        KeyCode::PageUp => Some(-page),
        KeyCode::Home | KeyCode::Char('g') => Some(-FAR),
        KeyCode::End | KeyCode::Char('G') => Some(FAR),
        _ => None,
    }
}

fn move_selection(model: &mut Model, step: isize) {
    let views = model.views();
    let entries = entries(&views);
    let last = entries.len().saturating_sub(1);
    let cursor = model
        .position(&entries)
        .saturating_add_signed(step)
        .min(last);
    model.chosen = entries.get(cursor).map(super::model::Entry::choice);
    model.cursor = cursor;
}

fn selected(model: &Model) -> Option<Choice> {
    let views = model.views();
    let entries = entries(&views);
    entries
        .get(model.position(&entries))
        .map(super::model::Entry::choice)
}

fn open(model: &mut Model) -> Option<Effect> {
    let choice = selected(model)?;
    model.chosen = Some(choice.clone());
    model.page = Page::Open(choice.clone());
    model.scroll = 0;
    model.events = None;
    Some(read(model, &choice))
}

/// Events belong to one object: to the policy, or to an operation on the secret.
fn read(model: &Model, choice: &Choice) -> Effect {
    Effect::Read {
        choice: choice.clone(),
        operations: model.operations_on(choice),
    }
}

fn check(choice: &Choice) -> Effect {
    let (namespace, name) = choice.policy();
    Effect::Check {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// Switches from one namespace to all, and back.
fn other_namespaces(model: &Model) -> Effect {
    let home = || model.home.clone();
    Effect::Watch(Scope {
        namespace: model.scope.namespace.is_none().then(home),
        name: None,
    })
}

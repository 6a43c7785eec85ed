//! The terminal: reads keys and draws pictures. It restores the terminal in every case.

use std::process::ExitCode;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt as _;
use kube::Resource as _;
use ratatui::DefaultTerminal;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{self, Instant, MissedTickBehavior};

use super::model::{Choice, Model};
use super::update::{Effect, Message, update};
use super::view;
use super::watch::{ClusterUpdate, Scope, Watches};
use crate::CommandError;
use crate::kubernetes::events;
use crate::kubernetes::{Cluster, request_check};
use crate::ui::style::Style;
use crate::view::Events;

/// The interval at which ages are updated.
const TICK: Duration = Duration::from_secs(1);

/// The shortest time between two pictures: updates arrive in bursts, and connections can be slow.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// The number of unprocessed messages.
const BACKLOG: usize = 64;

/// Shows policies and secrets until the user quits.
pub(crate) async fn run(
    cluster: &Cluster,
    scope: Scope,
    style: Style,
) -> Result<ExitCode, CommandError> {
    // An error at the start is printed in full, outside the screen.
    let policies = read_policies(cluster, &scope).await?;
    let mut model = Model::new(cluster.name(), cluster.namespace(), scope, style);
    model.policies = policies;
    let terminal = ratatui::try_init().map_err(|error| {
        CommandError::new(format!("the terminal cannot be used: {error}"))
            .with_hint("omit --watch, or pipe its output: … | cat")
    })?;
    let outcome = Screen::new(cluster, model).run(terminal).await;
    ratatui::restore();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Returns the policies of a scope.
///
/// # Errors
///
/// Returns an error if they cannot be read.
pub(super) async fn read_policies(
    cluster: &Cluster,
    scope: &Scope,
) -> Result<Vec<SecretRotationPolicy>, CommandError> {
    match &scope.name {
        Some(name) => Ok(vec![cluster.get(name).await?]),
        None => cluster.list(scope.namespace.as_deref()).await,
    }
}

/// A running screen.
struct Screen<'a> {
    cluster: &'a Cluster,
    model: Model,
    watches: Watches,
    updates: (Sender<ClusterUpdate>, Receiver<ClusterUpdate>),
    answers: (Sender<Message>, Receiver<Message>),
}

impl<'a> Screen<'a> {
    fn new(cluster: &'a Cluster, model: Model) -> Self {
        let updates = mpsc::channel(BACKLOG);
        Self {
            cluster,
            watches: Watches::start(cluster, &model.scope, &updates.0),
            updates,
            answers: mpsc::channel(BACKLOG),
            model,
        }
    }

    /// Processes messages and draws: only if something may have changed, and not too often.
    async fn run(mut self, mut terminal: DefaultTerminal) -> Result<(), CommandError> {
        let mut keys = EventStream::new();
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut signals = Signals::listen()?;
        loop {
            self.draw(&mut terminal)?;
            let next_picture = Instant::now() + REDRAW_INTERVAL;
            let mut due = false;
            // Keys are processed at once; everything else waits until the next picture is due.
            loop {
                tokio::select! {
                    event = keys.next() => {
                        let Some(event) = event.transpose()? else { return Ok(()) };
                        if self.take_event(&event) { return Ok(()) }
                        break;
                    }
                    Some(update) = self.updates.1.recv() => {
                        self.take(Message::ClusterUpdate(update));
                        due = true;
                    }
                    Some(answer) = self.answers.1.recv() => {
                        self.take(answer);
                        due = true;
                    }
                    _ = ticks.tick() => due = true,
                    () = time::sleep_until(next_picture), if due => break,
                    () = signals.end() => return Ok(()),
                }
            }
        }
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal) -> Result<(), CommandError> {
        self.model.now = self.cluster.now();
        let mut drawn = None;
        terminal.draw(|frame| drawn = Some(view::draw(frame, &self.model)))?;
        if let Some(drawn) = drawn {
            self.take(drawn);
        }
        Ok(())
    }

    /// Processes a terminal event. Returns whether to quit.
    fn take_event(&mut self, event: &Event) -> bool {
        // Other events, such as a new size, only need the next picture.
        match event.as_key_event() {
            Some(key) if key.kind != KeyEventKind::Release => self.take(Message::Key(key)),
            Some(_) | None => false,
        }
    }

    /// Processes a message and starts its effect. Returns whether to quit.
    fn take(&mut self, message: Message) -> bool {
        let scope = self.model.scope.clone();
        let effect = update(&mut self.model, message);
        if self.model.scope != scope {
            self.watches = Watches::start(self.cluster, &self.model.scope, &self.updates.0);
        }
        match effect {
            None => false,
            Some(Effect::Quit) => true,
            Some(effect) => {
                tokio::spawn(run_effect(
                    self.cluster.clone(),
                    effect,
                    self.answers.0.clone(),
                ));
                false
            }
        }
    }
}

/// Carries out an effect, concurrently with the screen.
async fn run_effect(cluster: Cluster, effect: Effect, answers: Sender<Message>) {
    let answer = match effect {
        Effect::Quit => return,
        Effect::Check { namespace, name } => {
            let asked = request_check(&cluster, &namespace, &name).await;
            Message::Answer(asked.map(|_| format!("check of {namespace}/{name} requested")))
        }
        Effect::Watch(scope) => {
            let policies = read_policies(&cluster, &scope).await;
            Message::Moved(policies.map(|_| scope))
        }
        Effect::Read { choice, operations } => {
            let events = read(&cluster, &choice, &operations).await;
            Message::Events(choice, events)
        }
    };
    // The screen may be closed: then the answer has no receiver.
    let _ = answers.send(answer).await;
}

/// Returns the events of a policy, or of a secret with those of operations on it; oldest first.
async fn read(cluster: &Cluster, choice: &Choice, operations: &[String]) -> Events {
    let (namespace, policy) = choice.policy();
    let mut events = cluster
        .events(namespace, SecretRotationPolicy::kind(&()).as_ref(), policy)
        .await?;
    let kind = SecretRotationOperation::kind(&());
    for operation in operations {
        events.extend(cluster.events(namespace, kind.as_ref(), operation).await?);
    }
    events.sort_by_key(events::time);
    Ok(events)
}

/// Signals that end the screen.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> Result<Self, CommandError> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    #[cfg(unix)]
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    fn listen() -> Result<Self, CommandError> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn end(&mut self) {
        std::future::pending::<()>().await;
    }
}

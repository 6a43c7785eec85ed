//! AWS Secrets Manager with its rotation state machine, over HTTP.
//!
//! The simulator is the oracle of the tests: it shares no code with the crates under test. Where the behavior of AWS is
//! not documented, a switch in [`Quirks`] selects it. Not a replacement for AWS: quotas, lag and authorization are not
//! simulated.

mod app_state;
mod arn;
mod changes;
mod clock;
mod compact;
mod connection;
mod control;
mod engine;
mod entries;
mod errors;
mod event;
mod faults;
mod functions;
mod inspect;
mod labels;
mod lambda;
mod load;
mod model;
mod operations;
mod queues;
mod quirks;
mod relative_time;
mod scenario;
mod schedule;
mod secrets;
mod server;
mod state;
mod templates;
mod trace;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use app_state::Hanging;
pub use changes::{Changed, Changes};
pub use entries::SecretEntry;
pub use faults::{Fault, FaultKind};
pub use functions::{STEPS, Script};
pub use inspect::SecretSnapshot;
pub use model::{Labels, Strategy};
pub use quirks::{LabelOnEmpty, Quirks, QuirksChange};
pub use scenario::{QueueEntry, Scenario};
pub use templates::{Exception, Generate, Template};
pub use trace::{Cause, Entry, Request};

use crate::app_state::AppState;
use crate::clock::Clock;
use crate::connection::{Reset, Resettable};
use crate::operations::{Call, Caller, Parameters};
use crate::state::SimulatedAws;
use crate::trace::Trace;

/// The options of a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// A loopback address. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// Seconds of AWS's clock per real second.
    pub clock_rate: f64,
    /// The start time of AWS's clock. Now if absent.
    pub start_time: Option<Timestamp>,
    /// The seed for ARNs and for faults with a probability.
    pub seed: u64,
    /// The behavior of AWS where it is not documented.
    pub quirks: Quirks,
    /// The maximum number of entries of the trace, whose oldest entries are dropped. Unlimited if absent. With 0,
    /// requests are only counted.
    pub trace_limit: Option<usize>,
    /// The accounts of access keys. Other keys belong to account 111122223333.
    pub accounts: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 0).into(),
            clock_rate: 1.0,
            start_time: None,
            seed: 0,
            quirks: Quirks::default(),
            trace_limit: None,
            accounts: BTreeMap::new(),
        }
    }
}

/// A running simulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    app: Arc<AppState>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator on its own thread, so that it can be used with or without an async runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is not loopback or the simulator cannot listen on it.
    pub fn start(options: Options) -> Result<Self> {
        ensure!(
            options.listen.ip().is_loopback(),
            "{} is not a loopback address; the simulator listens only on loopback addresses",
            options.listen.ip()
        );
        let clock = Clock::new(
            options.start_time.unwrap_or_else(clock::today),
            options.clock_rate,
        );
        let app = Arc::new(AppState::new(
            SimulatedAws::new(
                clock,
                options.seed,
                options.quirks,
                Trace::new(options.trace_limit),
            ),
            options.accounts,
        ));
        let listener = std::net::TcpListener::bind(options.listen)
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let router = server::router(Arc::clone(&app));
        let serve = move || {
            let served = runtime.block_on(serve(listener, router, stopped));
            if let Err(error) = served {
                tracing::error!(%error, "simulator failed");
            }
        };
        let thread = thread::Builder::new()
            .name("secretsmanager".to_owned())
            .spawn(serve)?;
        Ok(Self {
            address,
            app,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the endpoint URL for AWS clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds the secrets, functions, faults, queues and switches of a scenario.
    ///
    /// # Errors
    ///
    /// Returns an error if any part of the scenario is invalid. Nothing is added then.
    pub fn add(&self, yaml: &str) -> Result<()> {
        Scenario::parse(yaml)?.load(&mut self.app.state())
    }

    /// Returns AWS's time.
    pub fn now(&self) -> Timestamp {
        self.app.state().catch_up()
    }

    /// Moves AWS's clock and runs the events of this period.
    pub fn jump(&self, seconds: f64) {
        let mut state = self.app.state();
        state.catch_up();
        state.clock.jump(seconds);
        state.catch_up();
    }

    /// Sets the rate of AWS's clock. 0 stops it.
    pub fn set_clock_rate(&self, rate: f64) {
        self.app.state().clock.set_rate(rate);
    }

    /// Tags a secret, by name or ARN, as an independent job would.
    ///
    /// # Errors
    ///
    /// Returns an error if the secret does not exist.
    pub fn tag(&self, secret: &str, key: &str, value: &str) -> Result<()> {
        let mut state = self.app.state();
        let now = state.catch_up();
        let found = inspect::found(&state, secret).context("the secret does not exist")?;
        let (arn, cause) = (found.arn.clone(), Cause::Request(String::new()));
        state.change(&arn, &cause, now, |secret| {
            secret.tags.insert(key.into(), value.into());
            secret.last_changed = now;
        });
        Ok(())
    }

    /// Changes the quirks.
    pub fn set_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.app.state().quirks);
    }

    /// Sets the script of a rotation function.
    pub fn script(&self, function: &str, script: Script) {
        let scripts = [(function.to_owned(), script)].into();
        self.app.state().set_scripts(scripts);
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.app.state().faults.0.push(fault);
    }

    /// Removes all faults. Hanging requests continue to hang.
    pub fn clear_faults(&self) {
        self.app.state().faults.0.clear();
    }

    /// Returns the requests that hang now.
    pub fn hanging(&self) -> Vec<Hanging> {
        self.app.hanging()
    }

    /// Returns the number of requests that have ever hung. A client can give up before an observer sees its hanging
    /// request.
    pub fn hung_requests_total(&self) -> usize {
        self.app.hung()
    }

    /// Releases every hanging request.
    pub fn release(&self) {
        self.app.release();
    }

    /// Returns the ground truth of a secret, by name or ARN.
    pub fn inspect(&self, secret: &str) -> Option<SecretSnapshot> {
        let mut state = self.app.state();
        state.catch_up();
        inspect::secret(&state, secret)
    }

    /// Returns the number of messages in a queue, including messages that were received and not deleted. `None` if the
    /// queue does not exist.
    pub fn messages(&self, queue: &str) -> Option<usize> {
        let mut state = self.app.state();
        state.catch_up();
        state.queues.by_arn(queue).map(|queue| queue.len())
    }

    /// Returns the messages of a queue that are JSON, oldest first, without receiving them.
    pub fn events(&self, queue: &str) -> Vec<serde_json::Value> {
        let mut state = self.app.state();
        state.catch_up();
        let queue = state.queues.by_arn(queue);
        queue.map(|queue| queue.events()).unwrap_or_default()
    }

    /// Sends a message to a queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue does not exist.
    pub fn send(&self, queue: &str, body: &str) -> Result<()> {
        let mut state = self.app.state();
        let now = state.catch_up();
        let queue = state
            .queues
            .by_arn(queue)
            .context("the queue does not exist")?;
        queue.send(body.to_owned(), now);
        Ok(())
    }

    /// Returns the names of all secrets, in the order of their ARNs.
    pub fn names(&self) -> Vec<String> {
        let state = self.app.state();
        let mut arns: Vec<_> = state.secrets.values().map(|secret| &secret.arn).collect();
        arns.sort();
        arns.into_iter().map(|arn| arn.name().to_owned()).collect()
    }

    /// Changes and replaces a part of all secrets, as people and rotations do between two sweeps.
    ///
    /// # Errors
    ///
    /// Returns an error if a part is not between 0 and 1.
    pub fn change(&self, changes: &Changes) -> Result<Changed> {
        changes.check()?;
        Ok(changes.apply(&mut self.app.state()))
    }

    /// Answers a request to Secrets Manager in region `eu-west-1` without HTTP, faults and trace.
    ///
    /// # Errors
    ///
    /// Returns AWS's error response as JSON.
    pub fn answer(
        &self,
        operation: &str,
        parameters: &serde_json::Value,
    ) -> Result<String, String> {
        let mut state = self.app.state();
        let now = state.catch_up();
        let caller = Caller {
            account: server::DEFAULT_ACCOUNT.to_owned(),
            region: "eu-west-1".to_owned(),
            access_key: String::new(),
            request_id: String::new(),
        };
        let call = Call {
            state: &mut state,
            caller: &caller,
            parameters: Parameters(parameters),
            now,
        };
        let answer = call.answer("secretsmanager", operation);
        answer.map_err(|error| error.body().to_string())
    }

    /// Returns all requests and changes since the trace was last cleared, without those beyond its limit.
    pub fn trace(&self) -> Vec<Entry> {
        self.app.state().trace.entries().cloned().collect()
    }

    /// Returns the requests of the trace.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.trace().into_iter().filter_map(|entry| match entry {
            Entry::Request(request) => Some(request),
            Entry::Change { .. } => None,
        });
        requests.collect()
    }

    /// Returns the requests of the trace that change a secret.
    pub fn writes(&self) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(Request::is_write)
            .collect()
    }

    /// Returns the number of requests for each operation since the trace was last cleared.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.app.state().trace.calls().clone()
    }

    /// Clears the trace.
    pub fn clear_trace(&self) {
        self.app.state().trace.clear();
    }

    /// Waits until the server stops, which happens only if it fails.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported a panic of the server.
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have stopped already.
            let _ = stop.send(());
        }
        self.app.release();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: std::net::TcpListener,
    router: axum::Router,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let service = router.into_make_service_with_connect_info::<Reset>();
    tokio::select! {
        served = axum::serve(Resettable(listener), service) => served.context("the server failed"),
        _ = stopped => Ok(()),
    }
}

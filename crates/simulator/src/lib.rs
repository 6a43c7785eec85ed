//! AWS Secrets Manager with its rotation state machine, over HTTP.
//!
//! The simulator is the oracle of the tests: it shares no code with the crates under test. Where the behavior of AWS is
//! not documented, a switch in [`World`] selects it. Not a replacement for AWS: quotas, lag and authorization are not
//! simulated.

mod clock;
mod connection;
mod control;
mod engine;
mod enter;
mod entries;
mod estate;
mod event;
mod failure;
mod faults;
mod functions;
mod instant;
mod lambda;
mod model;
mod operations;
mod queues;
mod scenario;
mod schedule;
mod server;
mod shared;
mod templates;
mod trace;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use entries::SecretEntry;
pub use faults::{Fault, FaultKind};
pub use functions::{STEPS, Script};
pub use model::{Labels, Strategy};
pub use scenario::{QueueEntry, Scenario};
pub use shared::Hanging;
pub use templates::{Generate, Template};
pub use trace::{Cause, Entry, Request};
pub use truth::Truth;
pub use world::{LabelOnEmpty, World, WorldChange};

use crate::clock::Clock;
use crate::connection::{Reset, Resettable};
use crate::estate::Estate;
use crate::shared::Shared;

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
    pub world: World,
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
            world: World::default(),
            accounts: BTreeMap::new(),
        }
    }
}

/// A running simulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
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
        let shared = Arc::new(Shared::new(
            Estate::new(clock, options.seed, options.world),
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
        let router = server::router(Arc::clone(&shared));
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
            shared,
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
        Scenario::parse(yaml)?.enter(&mut self.shared.estate())
    }

    /// Returns AWS's time.
    pub fn now(&self) -> Timestamp {
        self.shared.estate().catch_up()
    }

    /// Moves AWS's clock and runs the events of this period.
    pub fn jump(&self, seconds: f64) {
        let mut estate = self.shared.estate();
        estate.catch_up();
        estate.clock.jump(seconds);
        estate.catch_up();
    }

    /// Sets the rate of AWS's clock. 0 stops it.
    pub fn set_clock_rate(&self, rate: f64) {
        self.shared.estate().clock.set_rate(rate);
    }

    /// Tags a secret, by name or ARN, as an independent job would.
    ///
    /// # Errors
    ///
    /// Returns an error if the secret does not exist.
    pub fn tag(&self, secret: &str, key: &str, value: &str) -> Result<()> {
        let mut estate = self.shared.estate();
        let now = estate.catch_up();
        let found = truth::of(&estate, secret).context("the secret does not exist")?;
        let cause = Cause::Request(String::new());
        estate.change(&found.arn, &cause, now, |secret| {
            secret.tags.insert(key.to_owned(), value.to_owned());
            secret.last_changed = now;
        });
        Ok(())
    }

    /// Changes the switches of the world.
    pub fn set_world(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.estate().world);
    }

    /// Sets the script of a rotation function.
    pub fn script(&self, function: &str, script: Script) {
        self.shared.estate().set_script(function.to_owned(), script);
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.shared.estate().faults.0.push(fault);
    }

    /// Removes all faults. Hanging requests continue to hang.
    pub fn clear_faults(&self) {
        self.shared.estate().faults.0.clear();
    }

    /// Returns the requests that hang now.
    pub fn hanging(&self) -> Vec<Hanging> {
        self.shared.hanging()
    }

    /// Returns the number of requests that have ever hung. A client can give up before an observer sees its hanging
    /// request.
    pub fn hung(&self) -> usize {
        self.shared.hung()
    }

    /// Releases every hanging request.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Returns the ground truth of a secret, by name or ARN.
    pub fn truth(&self, secret: &str) -> Option<Truth> {
        let mut estate = self.shared.estate();
        estate.catch_up();
        truth::of(&estate, secret)
    }

    /// Returns the number of messages in a queue, including messages that were received and not deleted. `None` if the
    /// queue does not exist.
    pub fn messages(&self, queue: &str) -> Option<usize> {
        let mut estate = self.shared.estate();
        estate.catch_up();
        estate.queues.by_arn(queue).map(|queue| queue.len())
    }

    /// Returns the messages of a queue that are JSON, oldest first, without receiving them.
    pub fn events(&self, queue: &str) -> Vec<serde_json::Value> {
        let mut estate = self.shared.estate();
        estate.catch_up();
        let queue = estate.queues.by_arn(queue);
        queue.map(|queue| queue.events()).unwrap_or_default()
    }

    /// Sends a message to a queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue does not exist.
    pub fn send(&self, queue: &str, body: &str) -> Result<()> {
        let mut estate = self.shared.estate();
        let now = estate.catch_up();
        let queue = estate
            .queues
            .by_arn(queue)
            .context("the queue does not exist")?;
        queue.send(body.to_owned(), now);
        Ok(())
    }

    /// Returns the names of all secrets.
    pub fn names(&self) -> Vec<String> {
        self.shared
            .estate()
            .secrets
            .values()
            .map(|secret| secret.name.clone())
            .collect()
    }

    /// Returns all requests and changes since the trace was last cleared.
    pub fn trace(&self) -> Vec<Entry> {
        self.shared.estate().trace.entries.clone()
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

    /// Returns the number of requests in the trace for each operation.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        truth::calls(&self.shared.estate().trace)
    }

    /// Clears the trace.
    pub fn clear_trace(&self) {
        self.shared.estate().trace.entries.clear();
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
        self.shared.release();
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

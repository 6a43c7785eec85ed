//! AWS Secrets Manager with its rotation state machine, over HTTP.
//!
//! An oracle: it holds nothing of the crates that it judges, and where AWS leaves its behaviour open, a switch in
//! [`World`] stands either way. Not a replacement for AWS: quotas, lag and authorisation are not simulated.

mod clock;
mod connection;
mod control;
mod engine;
mod enter;
mod estate;
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

pub use faults::{Fault, FaultKind};
pub use functions::{STEPS, Script};
pub use model::{Labels, Strategy};
pub use scenario::{QueueEntry, Scenario, SecretEntry};
pub use shared::Hanging;
pub use templates::{Generate, Template};
pub use trace::{Cause, Entry, Request};
pub use truth::Truth;
pub use world::{LabelOnEmpty, World, WorldChange};

use crate::clock::Clock;
use crate::connection::{Reset, Resettable};
use crate::estate::Estate;
use crate::shared::Shared;

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Seconds of AWS's clock in one of ours.
    pub clock_rate: f64,
    /// Where AWS's clock starts; now if absent.
    pub start_time: Option<Timestamp>,
    /// Makes ARNs, and draws faults with a probability.
    pub seed: u64,
    /// How AWS behaves where it does not say.
    pub world: World,
    /// Which account an access key belongs to; 111122223333 for keys not named.
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

/// A running simulator. Ends when dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Simulator {
    /// Starts on a thread of its own, so that it can be used with or without an async runtime.
    pub fn start(options: Options) -> Result<Self> {
        ensure!(
            options.listen.ip().is_loopback(),
            "{} is not a loopback address; the simulator listens on no other",
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
                tracing::error!(%error, "the simulator ended");
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

    /// The endpoint URL for AWS clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds the secrets, functions, faults and switches of a scenario.
    pub fn add(&self, yaml: &str) -> Result<()> {
        Scenario::parse(yaml)?.enter(&mut self.shared.estate())
    }

    /// AWS's time.
    pub fn now(&self) -> Timestamp {
        self.shared.estate().catch_up()
    }

    /// Moves AWS's clock, and lets everything happen that falls into that time.
    pub fn jump(&self, seconds: f64) {
        let mut estate = self.shared.estate();
        estate.catch_up();
        estate.clock.jump(seconds);
        estate.catch_up();
    }

    /// Sets how fast AWS's clock runs; 0 stops it.
    pub fn set_clock_rate(&self, rate: f64) {
        self.shared.estate().clock.set_rate(rate);
    }

    /// Tags a secret, by name or ARN, as any job of its owner may.
    pub fn tag(&self, secret: &str, key: &str, value: &str) -> Result<()> {
        let mut estate = self.shared.estate();
        let now = estate.catch_up();
        let found = truth::of(&estate, secret).context("there is no such secret")?;
        let cause = Cause::Request(String::new());
        estate.change(&found.arn, &cause, now, |secret| {
            secret.tags.insert(key.to_owned(), value.to_owned());
            secret.last_changed = now;
        });
        Ok(())
    }

    /// Changes the switches.
    pub fn set_world(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.estate().world);
    }

    /// Gives a rotation function another script.
    pub fn script(&self, function: &str, script: Script) {
        self.shared.estate().set_script(function.to_owned(), script);
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.shared.estate().faults.0.push(fault);
    }

    /// Takes all faults away. Requests that hang go on hanging.
    pub fn clear_faults(&self) {
        self.shared.estate().faults.0.clear();
    }

    /// Requests that hang right now.
    pub fn hanging(&self) -> Vec<Hanging> {
        self.shared.hanging()
    }

    /// How many requests have ever hung: a client gives up sooner than a busy observer looks.
    pub fn hung(&self) -> usize {
        self.shared.hung()
    }

    /// Lets every hanging request go on.
    pub fn release(&self) {
        self.shared.release();
    }

    /// The ground truth of a secret, by name or ARN.
    pub fn truth(&self, secret: &str) -> Option<Truth> {
        let mut estate = self.shared.estate();
        estate.catch_up();
        truth::of(&estate, secret)
    }

    /// The number of messages in a queue, those included that were received and not deleted; `None` = no such queue.
    pub fn messages(&self, queue: &str) -> Option<usize> {
        let mut estate = self.shared.estate();
        estate.catch_up();
        estate.queues.by_arn(queue).map(|queue| queue.len())
    }

    /// The messages of a queue that are JSON, oldest first. None of them is received by this.
    pub fn events(&self, queue: &str) -> Vec<serde_json::Value> {
        let mut estate = self.shared.estate();
        estate.catch_up();
        let queue = estate.queues.by_arn(queue);
        queue.map(|queue| queue.events()).unwrap_or_default()
    }

    /// Puts a message into a queue, as anybody could who may.
    pub fn send(&self, queue: &str, body: &str) -> Result<()> {
        let mut estate = self.shared.estate();
        let now = estate.catch_up();
        let queue = estate
            .queues
            .by_arn(queue)
            .context("there is no such queue")?;
        queue.send(body.to_owned(), now);
        Ok(())
    }

    /// Names of all secrets.
    pub fn names(&self) -> Vec<String> {
        self.shared
            .estate()
            .secrets
            .values()
            .map(|secret| secret.name.clone())
            .collect()
    }

    /// Everything that was asked and that changed since the trace was last cleared.
    pub fn trace(&self) -> Vec<Entry> {
        self.shared.estate().trace.entries.clone()
    }

    /// The requests of the trace.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.trace().into_iter().filter_map(|entry| match entry {
            Entry::Request(request) => Some(request),
            Entry::Change { .. } => None,
        });
        requests.collect()
    }

    /// The requests of the trace that ask AWS to change something.
    pub fn writes(&self) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(Request::is_write)
            .collect()
    }

    /// How many requests of each operation the trace holds.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        truth::calls(&self.shared.estate().trace)
    }

    /// Begins the trace anew.
    pub fn clear_trace(&self) {
        self.shared.estate().trace.entries.clear();
    }

    /// Waits for the server to end by itself, which it does only if it fails.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended already.
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

//! Tests the elector against a simulated API server on a paused clock.

use std::sync::{Mutex, PoisonError};

use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server that holds one Lease.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    uids: u64,
    /// When each request arrived.
    requests: Vec<(Instant, http::Method)>,
    /// This number of requests hang from now on.
    hanging: usize,
    /// This number of requests are carried out and then hang.
    muted: usize,
}

impl Server {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Client {
        let server = self.clone();
        Client::new(
            tower::service_fn(move |request| server.clone().answer(request)),
            "default",
        )
    }

    fn elector(&self, own: &str) -> (Elector, Leadership) {
        self.elector_with(own, &Arc::default())
    }

    fn elector_with(&self, own: &str, note: &Arc<LeaseNote>) -> (Elector, Leadership) {
        let clock = Arc::new(ServerClock::default());
        let (own, note) = (own.to_owned(), Arc::clone(note));
        Elector::new(self.client(), "default", own, clock, note)
    }

    /// Edits the Lease as another client.
    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let lease = state.lease.as_mut().expect("a lease");
        edit(lease);
        lease["metadata"]["resourceVersion"] = json!(version.to_string());
    }

    /// Handles a request. `None` means that it hangs, whether it was carried out or not.
    fn handle(&self, method: &http::Method, body: &[u8]) -> Option<(u16, Value)> {
        let mut state = self.lock();
        state.requests.push((clock::now(), method.clone()));
        if state.hanging > 0 {
            state.hanging -= 1;
            return None;
        }
        let answer = state.serve(method, body);
        let is_heard = state.muted == 0;
        state.muted = state.muted.saturating_sub(1);
        is_heard.then_some(answer)
    }

    async fn answer(
        self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.expect("a body");
        let Some((code, answer)) = self.handle(&parts.method, &body) else {
            return std::future::pending().await;
        };
        let response = http::Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(Body::from(answer.to_string().into_bytes()));
        Ok(response.expect("a response"))
    }
}

impl State {
    fn serve(&mut self, method: &http::Method, body: &[u8]) -> (u16, Value) {
        let stored = self.lease.clone();
        if *method == http::Method::GET {
            return stored.map_or_else(|| refusal(404, "NotFound"), |lease| (200, lease));
        }
        let mut lease: Value = serde_json::from_slice(body).expect("a lease");
        if *method == http::Method::POST {
            if stored.is_some() {
                return refusal(409, "AlreadyExists");
            }
            self.uids += 1;
            lease["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        } else {
            let Some(stored) = stored else {
                return refusal(404, "NotFound");
            };
            if lease["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"] {
                return refusal(409, "Conflict");
            }
        }
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        (200, lease)
    }
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"}),
    )
}

/// Starts an elector that holds the lease in its first term.
async fn holding(server: &Server) -> (oneshot::Sender<()>, Leadership) {
    let (elector, leadership) = server.elector("me");
    let (release, released) = oneshot::channel();
    tokio::spawn(elector.run(released));
    assert_eq!(leadership.next_term(None).await, Some((1, 1)));
    (release, leadership)
}

async fn advance(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// The next holder knows what a holder knew before it acts, and does not overwrite it with older knowledge.
#[tokio::test(start_paused = true)]
async fn the_note_of_a_holder_is_passed_to_the_next() {
    let server = Server::default();
    let (first, second) = (Arc::<LeaseNote>::default(), Arc::<LeaseNote>::default());
    let (elector, leadership) = server.elector_with("me", &first);
    let (release, released) = oneshot::channel();
    let holder = tokio::spawn(elector.run(released));
    leadership
        .next_term(None)
        .await
        .expect("it holds the lease");
    first.set("one".to_owned());
    advance(3).await;
    first.set("two".to_owned());
    advance(3).await;
    second.set("what it knew long ago".to_owned());
    let (elector, leadership) = server.elector_with("other", &second);
    let (_other, released) = oneshot::channel();
    tokio::spawn(elector.run(released));
    advance(3).await;
    let _ = release.send(());
    holder.await.expect("it ends");
    leadership.next_term(None).await.expect("it is the next");
    assert_eq!(second.get().as_deref(), Some("two"));
    advance(3).await;
    let stored = server.lock().lease.clone().expect("a lease");
    assert_eq!(stored["metadata"]["annotations"][NOTE], "two");
}

#[tokio::test(start_paused = true)]
async fn the_holder_renews_every_two_seconds_by_one_request() {
    let server = Server::default();
    let (_release, leadership) = holding(&server).await;
    server.lock().requests.clear();
    let began = clock::now();
    advance(21).await;
    let requests = server.lock().requests.clone();
    let writes: Vec<_> = requests
        .iter()
        .map(|(at, method)| ((*at - began).as_secs(), method.as_str()))
        .collect();
    let expected: Vec<_> = (1..=10).map(|turn| (turn * 2, "PUT")).collect();
    assert_eq!(writes, expected);
    assert_eq!(leadership.claim().map(|claim| claim.term), Some(1));
}

/// The term continues whichever request hangs, and whether it was carried out or not.
#[tokio::test(start_paused = true)]
async fn one_request_that_hangs_never_loses_the_lease() {
    for hang in [
        (|state| state.hanging = 1) as fn(&mut State),
        |state| state.muted = 1,
        |state| state.hanging = 2,
        |state| {
            state.muted = 1;
            state.hanging = 1;
        },
    ] {
        let server = Server::default();
        let (_release, leadership) = holding(&server).await;
        for at in [0_u64, 1, 3, 5] {
            advance(at).await;
            hang(&mut server.lock());
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert_eq!(leadership.claim().map(|claim| claim.term), Some(1));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_regained_without_another_holder_is_a_new_term_of_the_same_epoch() {
    let server = Server::default();
    let (_release, leadership) = holding(&server).await;
    server.lock().hanging = 6;
    leadership.term_ended(1).await;
    assert!(!leadership.is_held());
    assert_eq!(leadership.next_term(Some(1)).await, Some((2, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_replica_held_meanwhile_begins_a_new_epoch() {
    let server = Server::default();
    let (_release, leadership) = holding(&server).await;
    server.edit(|lease| {
        lease["spec"]["holderIdentity"] = json!("other");
        lease["spec"]["leaseTransitions"] = json!(1);
    });
    leadership.term_ended(1).await;
    tokio::time::timeout(Duration::from_secs(1), leadership.epoch_ended(Some(1)))
        .await
        .expect("it is noticed at once, not when the lease is regained");
    assert_eq!(leadership.next_term(Some(1)).await, Some((2, 3)));
}

/// Another replica took the lease and released it between two reads of this one.
#[tokio::test(start_paused = true)]
async fn a_holder_that_came_and_went_unseen_is_noticed_by_the_transitions() {
    let server = Server::default();
    let (_release, leadership) = holding(&server).await;
    server.edit(|lease| {
        lease["spec"]["holderIdentity"] = Value::Null;
        lease["spec"]["leaseTransitions"] = json!(1);
    });
    assert_eq!(leadership.next_term(Some(1)).await, Some((2, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_created_again_begins_a_new_epoch() {
    let server = Server::default();
    let (_release, leadership) = holding(&server).await;
    server.lock().lease = None;
    assert_eq!(leadership.next_term(Some(1)).await, Some((2, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_released_within_seconds_even_while_a_request_hangs() {
    let server = Server::default();
    let (release, leadership) = holding(&server).await;
    advance(1).await;
    server.lock().hanging = 1;
    advance(2).await;
    let began = clock::now();
    release.send(()).expect("the elector runs");
    leadership.term_ended(1).await;
    advance(4).await;
    assert!(clock::now() - began < Duration::from_secs(6));
    let lease = server.lock().lease.clone().expect("a lease");
    assert_eq!(lease["spec"]["holderIdentity"], Value::Null);
}

/// A server that asks for a pause gets one, but never so long that the lease expires.
#[test]
fn two_tries_fit_into_the_trust_even_with_the_longest_pause() {
    assert!(MAX_RETRY_AFTER * 2 + REQUEST_TIMEOUT <= RENEW_DEADLINE);
    assert!(RETRY_PERIOD * 4 + REQUEST_TIMEOUT <= RENEW_DEADLINE);
}

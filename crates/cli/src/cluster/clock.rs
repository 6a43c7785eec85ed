//! The API server's time, read from the `Date` header of its answers.
//!
//! A local clock may be wrong; the statuses that are shown were dated by servers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::client::Body;
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// The date of the last answer, and when it came.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    last: Mutex<Option<(Timestamp, Instant)>>,
}

impl ServerClock {
    /// The time now; `None` before the first answer.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, seen) = last?;
        let passed = SignedDuration::try_from(seen.elapsed()).ok()?;
        date.checked_add(passed).ok()
    }

    fn saw(&self, date: &str) {
        let Ok(zoned) = rfc2822::parse(date) else {
            return;
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((zoned.timestamp(), Instant::now()));
    }
}

/// Reads the date of each answer.
#[derive(Clone, Debug)]
pub(super) struct ClockLayer {
    clock: Arc<ServerClock>,
}

impl ClockLayer {
    pub(super) fn new(clock: &Arc<ServerClock>) -> Self {
        Self {
            clock: Arc::clone(clock),
        }
    }
}

impl<S> Layer<S> for ClockLayer {
    type Service = Clocked<S>;

    fn layer(&self, inner: S) -> Clocked<S> {
        Clocked {
            inner,
            clock: Arc::clone(&self.clock),
        }
    }
}

/// See [`ClockLayer`].
#[derive(Clone, Debug)]
pub(super) struct Clocked<S> {
    inner: S,
    clock: Arc<ServerClock>,
}

impl<S, B> Service<Request<Body>> for Clocked<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clock = Arc::clone(&self.clock);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            let date = answer.headers().get(header::DATE);
            if let Some(date) = date.and_then(|date| date.to_str().ok()) {
                clock.saw(date);
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_moves_on_between_its_answers() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        clock.saw("yesterday");
        assert_eq!(clock.now(), None);
        clock.saw("Mon, 23 Nov 2026 10:00:00 GMT");
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), "2026-11-23T10:01:30Z".parse().ok());
    }
}

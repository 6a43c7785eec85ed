//! The API server's time, from the `Date` headers of its responses.
//!
//! The local clock may be wrong, and servers wrote the times that are shown. One absurd date changes no age: the
//! controller trusts times by the same rule, see [`AgreedTime`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::client::Body;
use secret_rotation_core::time::{AgreedTime, DateCheck};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// The time on which the dates of the responses agree.
#[derive(Debug)]
pub(crate) struct ServerClock {
    origin: Instant,
    dates: Mutex<Dates>,
}

/// The dates so far.
#[derive(Debug, Default)]
struct Dates {
    agreement: AgreedTime,
    /// The first date and when it arrived: a command with one request gets no second date to agree with it.
    first: Option<(Timestamp, Instant)>,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            dates: Mutex::default(),
        }
    }
}

impl ServerClock {
    /// Returns the time; `None` before the first response. Until two responses agree, it is that of the first: the time
    /// is only displayed and decides nothing.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let dates = self.lock();
        if let Some(now) = dates.agreement.now(self.origin.elapsed()) {
            return Some(now);
        }
        let (date, seen) = dates.first?;
        let passed = SignedDuration::try_from(seen.elapsed()).ok()?;
        date.checked_add(passed).ok()
    }

    fn saw(&self, date: &str) {
        let Ok(date) = rfc2822::DateTimeParser::new().parse_timestamp(date.trim()) else {
            return;
        };
        let mut dates = self.lock();
        let heard = dates.agreement.observe(Some(date), self.origin.elapsed());
        if heard != DateCheck::Implausible {
            dates.first.get_or_insert_with(|| (date, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Dates> {
        self.dates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the date of each response.
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

/// The service of a [`ClockLayer`].
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
    async fn the_time_of_the_server_advances_between_its_responses() {
        let clock = ServerClock::default();
        assert_eq!(clock.now(), None);
        clock.saw("yesterday");
        assert_eq!(clock.now(), None);
        clock.saw("Mon, 23 Nov 2026 10:00:00 GMT");
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), "2026-11-23T10:01:30Z".parse().ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_absurd_date_changes_nothing() {
        let honest = "Mon, 23 Nov 2026 10:00:00 GMT";
        for absurd in [
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Tue, 24 Nov 2026 18:00:00 GMT",
        ] {
            for order in [
                [absurd, honest, honest, honest],
                [honest, absurd, honest, honest],
                [honest, honest, absurd, honest],
                [honest, honest, honest, absurd],
            ] {
                let clock = ServerClock::default();
                for date in order {
                    clock.saw(date);
                }
                assert_eq!(
                    clock.now(),
                    "2026-11-23T10:00:00Z".parse().ok(),
                    "{order:?}"
                );
            }
        }
    }
}

//! The API server's time, learned from the `Date` headers of its answers.
//!
//! A local clock may be wrong; the statuses that are shown were dated by servers. One absurd date moves no age: a time is
//! believed as the controller believes it, see [`AgreedTime`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::client::Body;
use secret_rotation_core::time::{AgreedTime, DateCheck};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// What the dates of the answers so far agree on.
#[derive(Debug)]
pub(crate) struct ServerClock {
    origin: Instant,
    dates: Mutex<Dates>,
}

/// Dates as they came.
#[derive(Debug, Default)]
struct Dates {
    agreement: AgreedTime,
    /// The first date, and when it came: a command that asks once hears no second one to agree with it.
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
    /// The time now; `None` before the first answer. Until two answers agree it is that of the first: it is shown, and
    /// decides nothing.
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

    #[tokio::test(start_paused = true)]
    async fn one_absurd_date_moves_nothing() {
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

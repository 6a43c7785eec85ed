//! The HTTP server: AWS JSON 1.1, faults, and the `Date` of the simulated clock.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app_state::AppState;
use crate::connection::Reset;
use crate::control;
use crate::errors::ApiError;
use crate::faults::{FaultKind, Target};
use crate::operations::{Call, Caller, Parameters, SQS};
use crate::state::SimulatedAws;
use crate::trace::{Place, Request, without_values};

pub(crate) const DEFAULT_ACCOUNT: &str = "111122223333";

/// The interval in which a waiting request polls its queue.
const MESSAGE_POLL: Duration = Duration::from_millis(50);

/// The number of polls per second.
const MESSAGE_POLLS: u64 = 20;

pub(crate) fn router(app: Arc<AppState>) -> Router {
    Router::new()
        .route("/", post(answer))
        .merge(control::router())
        .with_state(app)
}

/// One request on its path through faults to its answer.
struct Exchange {
    caller: Caller,
    service: String,
    operation: String,
    parameters: Value,
    /// The request in the trace, once it is recorded.
    place: Option<Place>,
}

async fn answer(
    State(app): State<Arc<AppState>>,
    ConnectInfo(connection): ConnectInfo<Reset>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut exchange = Exchange::read(&app, &headers, &body);
    match exchange.record(&app) {
        None => {
            exchange.wait_for_messages(&app).await;
            exchange.finish(&app)
        }
        Some(fault) => exchange.apply_fault(fault, &app, &connection).await,
    }
}

impl Exchange {
    fn read(app: &AppState, headers: &HeaderMap, body: &Bytes) -> Self {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let (access_key, region) = credential(text("authorization"));
        let account = app
            .account_of(&access_key)
            .unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
        let caller = Caller {
            account,
            region,
            access_key,
            request_id: app.request_id(),
        };
        let (service, operation) = text("x-amz-target").rsplit_once('.').unwrap_or_default();
        Self {
            caller,
            service: service.to_owned(),
            operation: operation.to_owned(),
            parameters: serde_json::from_slice(body).unwrap_or(json!({})),
            place: None,
        }
    }

    /// Records the request and returns the fault that strikes it.
    fn record(&mut self, app: &AppState) -> Option<FaultKind> {
        let mut state = app.state();
        let time = state.catch_up();
        let fault = self.strike(&mut state);
        let place = state.trace.record_request(&self.operation, || Request {
            time,
            access_key: self.caller.access_key.clone(),
            region: self.caller.region.clone(),
            operation: self.operation.clone(),
            secret: self.secret_id().map(str::to_owned),
            parameters: without_values(&self.parameters),
            code: None,
            request_id: self.caller.request_id.clone(),
        });
        self.place = Some(place);
        fault
    }

    fn secret_id(&self) -> Option<&str> {
        self.parameters["SecretId"].as_str()
    }

    /// Returns the fault that strikes the request.
    fn strike(&self, state: &mut SimulatedAws) -> Option<FaultKind> {
        if state.faults.0.is_empty() {
            return None;
        }
        let target = Target {
            operation: &self.operation,
            secret: &self.names(state, self.secret_id()),
            parameters: &without_values(&self.parameters).to_string(),
            region: &self.caller.region,
        };
        state.faults.strike(&target, &mut state.draw)
    }

    /// Returns all identifiers of the secret of the request.
    fn names(&self, state: &SimulatedAws, id: Option<&str>) -> Vec<String> {
        let Some(id) = id else {
            return Vec::new();
        };
        let found = state
            .resolve(id, &self.caller.account, &self.caller.region)
            .ok();
        let known = found.map(|secret| [secret.name().to_owned(), secret.arn.to_string()]);
        [id.to_owned()]
            .into_iter()
            .chain(known.into_iter().flatten())
            .collect()
    }

    async fn apply_fault(
        &self,
        fault: FaultKind,
        app: &AppState,
        connection: &Reset,
    ) -> Response<Body> {
        match fault {
            FaultKind::Throttle => {
                self.refuse(app, &ApiError::new("ThrottlingException", "Rate exceeded"))
            }
            FaultKind::ServerError => self.refuse(app, &ApiError::server_error()),
            FaultKind::ServerErrorAfter => {
                drop(self.finish(app));
                self.refuse(app, &ApiError::server_error())
            }
            FaultKind::AccessDenied => self.refuse(app, &self.denial()),
            FaultKind::Code { code, message } => self.refuse(app, &ApiError::new(&code, message)),
            FaultKind::Delay(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                self.finish(app)
            }
            FaultKind::HangBefore => {
                self.hang(app, false).await;
                self.finish(app)
            }
            FaultKind::HangAfter => {
                let response = self.finish(app);
                self.hang(app, true).await;
                response
            }
            FaultKind::ResetBefore => Self::reset(connection),
            FaultKind::ResetAfter => {
                drop(self.finish(app));
                Self::reset(connection)
            }
            FaultKind::Truncate => truncate(self.finish(app)).await,
            FaultKind::Html => self.html(app),
            FaultKind::Date(text) => with_date(self.finish(app), &text),
        }
    }

    /// Lets a request for messages wait in real time, as long as it asks for and at most 20 s.
    async fn wait_for_messages(&self, app: &AppState) {
        if (self.service.as_str(), self.operation.as_str()) != (SQS, "ReceiveMessage") {
            return;
        }
        let seconds = self.parameters["WaitTimeSeconds"].as_u64().unwrap_or(0);
        let pauses = seconds.min(20) * MESSAGE_POLLS;
        for _ in 0..pauses {
            if !self.with_call(app, |mut call| call.would_wait()) {
                return;
            }
            tokio::time::sleep(MESSAGE_POLL).await;
        }
    }

    async fn hang(&self, app: &AppState, applied: bool) {
        app.hang(&self.caller.request_id, &self.operation, applied)
            .await;
    }

    /// Resets the connection. The returned answer is never sent.
    fn reset(connection: &Reset) -> Response<Body> {
        connection.reset();
        Response::default()
    }

    fn html(&self, app: &AppState) -> Response<Body> {
        let page = "<html><body>Please log in</body></html>".to_owned();
        let mut response = self.respond(app, StatusCode::OK, page, "HTML");
        let kind = HeaderValue::from_static("text/html");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// Applies the request at the current time and answers it.
    fn finish(&self, app: &AppState) -> Response<Body> {
        match self.with_call(app, |call| call.answer(&self.service, &self.operation)) {
            Ok(body) => self.respond(app, StatusCode::OK, body, "OK"),
            Err(error) => self.refuse(app, &error),
        }
    }

    fn with_call<T>(&self, app: &AppState, judge: impl FnOnce(Call<'_>) -> T) -> T {
        let mut state = app.state();
        let now = state.catch_up();
        judge(Call {
            state: &mut state,
            caller: &self.caller,
            parameters: Parameters(&self.parameters),
            now,
        })
    }

    fn refuse(&self, app: &AppState, error: &ApiError) -> Response<Body> {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
        self.respond(app, status, error.body().to_string(), &error.code)
    }

    fn respond(
        &self,
        app: &AppState,
        status: StatusCode,
        body: String,
        code: &str,
    ) -> Response<Body> {
        let mut state = app.state();
        let now = state.clock.now();
        if let Some(place) = self.place {
            state.trace.record_answer(place, now, code);
        }
        drop(state);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(if self.service == SQS {
                "application/x-amz-json-1.0"
            } else {
                "application/x-amz-json-1.1"
            }),
        );
        let texts = [
            ("x-amzn-requestid", self.caller.request_id.clone()),
            ("date", http_date(now)),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
        response
    }

    fn denial(&self) -> ApiError {
        let Caller { account, .. } = &self.caller;
        ApiError::new(
            "AccessDeniedException",
            format!(
                "User: arn:aws:iam::{account}:user/simulated is not authorized to perform: secretsmanager:{}",
                self.operation
            ),
        )
    }
}

/// Returns the answer with another date.
fn with_date(mut response: Response<Body>, text: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(header::DATE, value);
    }
    response
}

/// Returns the answer with half of its body and a status of success.
async fn truncate(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    parts.status = StatusCode::OK;
    Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2)))
}

/// Returns access key and region from `Credential=KEY/DATE/REGION/secretsmanager/aws4_request`.
fn credential(authorization: &str) -> (String, String) {
    let scope = authorization
        .split("Credential=")
        .nth(1)
        .and_then(|rest| rest.split([',', ' ']).next())
        .unwrap_or_default();
    let mut parts = scope.split('/');
    let key = parts.next().unwrap_or_default().to_owned();
    (
        key,
        parts
            .nth(1)
            .filter(|region| !region.is_empty())
            .unwrap_or("us-east-1")
            .to_owned(),
    )
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

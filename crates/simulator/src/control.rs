//! The control interface under `/_simulator/`: clock, scenario, quirks, faults, state of secrets, trace.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app_state::AppState;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::faults::Fault;
use crate::inspect;
use crate::quirks::QuirksChange;
use crate::scenario::Scenario;

type SharedState = State<Arc<AppState>>;

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/_simulator/clock", get(clock).post(set_clock))
        .route("/_simulator/scenario", post(add_scenario))
        .route("/_simulator/world", get(quirks).post(set_quirks))
        .route(
            "/_simulator/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/_simulator/hanging", get(hanging).post(release))
        .route("/_simulator/secrets/{*name}", get(secret))
        .route("/_simulator/changes", post(change))
        .route("/_simulator/trace", get(trace).delete(clear_trace))
        .route("/_simulator/calls", get(calls))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    rate: Option<f64>,
    jump: Option<f64>,
}

impl ClockChange {
    fn read(body: &str, clock: &Clock) -> Result<Self, String> {
        let change: Self = serde_json::from_str(body).map_err(|error| error.to_string())?;
        if change.rate.is_none() && change.jump.is_none() {
            return Err("both are missing".to_owned());
        }
        if change.rate.is_some_and(|rate| rate < 0.0) {
            return Err("a rate must not be negative; use a negative jump to go back".to_owned());
        }
        let jump = change.jump.unwrap_or(0.0);
        if clock.after(jump).is_none() {
            return Err(format!("a jump of {jump} seconds is out of range"));
        }
        Ok(change)
    }
}

async fn clock(State(app): SharedState) -> Response {
    let mut state = app.state();
    let now = state.catch_up();
    reply(&json!({"now": now.to_string(), "rate": state.clock.rate()}))
}

async fn set_clock(State(app): SharedState, body: String) -> Response {
    let mut state = app.state();
    let change = match ClockChange::read(&body, &state.clock) {
        Ok(change) => change,
        Err(refusal) => {
            return refuse(&format!(
                "expected {{\"rate\": 1.0}} or {{\"jump\": 3600}}: {refusal}"
            ));
        }
    };
    if let Some(rate) = change.rate {
        state.clock.set_rate(rate);
    }
    state.clock.jump(change.jump.unwrap_or(0.0));
    let now = state.catch_up();
    reply(&json!({"now": now.to_string()}))
}

async fn add_scenario(State(app): SharedState, body: String) -> Response {
    match Scenario::parse(&body).and_then(|scenario| scenario.load(&mut app.state())) {
        Ok(()) => reply(&json!({})),
        Err(error) => refuse(&format!("{error:#}")),
    }
}

async fn change(State(app): SharedState, body: String) -> Response {
    let changes = serde_json::from_str::<Changes>(&body).map_err(anyhow::Error::from);
    match changes.and_then(|changes| changes.check().map(|()| changes)) {
        Ok(changes) => reply(&json!(changes.apply(&mut app.state()))),
        Err(error) => refuse(&error.to_string()),
    }
}

async fn quirks(State(app): SharedState) -> Response {
    reply(&json!(app.state().quirks))
}

async fn set_quirks(State(app): SharedState, body: String) -> Response {
    match serde_json::from_str::<QuirksChange>(&body) {
        Ok(change) => {
            let mut state = app.state();
            state.quirks = change.apply(&state.quirks);
            reply(&json!(state.quirks))
        }
        Err(error) => refuse(&error.to_string()),
    }
}

async fn faults(State(app): SharedState) -> Response {
    reply(&json!(app.state().faults.0))
}

async fn add_fault(State(app): SharedState, body: String) -> Response {
    let fault = serde_json::from_str::<Fault>(&body).map_err(anyhow::Error::from);
    match fault.and_then(|fault| fault.check().map(|()| fault)) {
        Ok(fault) => {
            app.state().faults.0.push(fault);
            reply(&json!({}))
        }
        Err(error) => refuse(&error.to_string()),
    }
}

async fn clear_faults(State(app): SharedState) -> Response {
    app.state().faults.0.clear();
    reply(&json!({}))
}

async fn hanging(State(app): SharedState) -> Response {
    reply(&json!(app.hanging()))
}

async fn release(State(app): SharedState) -> Response {
    app.release();
    reply(&json!({}))
}

async fn secret(State(app): SharedState, Path(name): Path<String>) -> Response {
    let mut state = app.state();
    state.catch_up();
    match inspect::secret(&state, &name) {
        Some(snapshot) => reply(&json!(snapshot)),
        None => (
            StatusCode::NOT_FOUND,
            format!("secret {name} does not exist\n"),
        )
            .into_response(),
    }
}

async fn trace(State(app): SharedState) -> Response {
    let lines: Vec<_> = app
        .state()
        .trace
        .entries()
        .filter_map(|entry| serde_json::to_string(entry).ok())
        .collect();
    (
        [(header::CONTENT_TYPE, "application/jsonl")],
        lines.join("\n") + "\n",
    )
        .into_response()
}

async fn clear_trace(State(app): SharedState) -> Response {
    app.state().trace.clear();
    reply(&json!({}))
}

async fn calls(State(app): SharedState) -> Response {
    reply(&json!(app.state().trace.calls()))
}

fn reply(value: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        format!("{value}\n"),
    )
        .into_response()
}

fn refuse(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response()
}

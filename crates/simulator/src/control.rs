//! The control interface under `/_simulator/`: clock, scenario, world, faults, ground truth, trace.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::faults::Fault;
use crate::scenario::Scenario;
use crate::shared::Shared;
use crate::truth;
use crate::world::WorldChange;

type Estate = State<Arc<Shared>>;

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_simulator/clock", get(clock).post(set_clock))
        .route("/_simulator/scenario", post(add_scenario))
        .route("/_simulator/world", get(world).post(set_world))
        .route(
            "/_simulator/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/_simulator/hanging", get(hanging).post(release))
        .route("/_simulator/secrets/{*name}", get(secret))
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

async fn clock(State(shared): Estate) -> Response {
    let mut estate = shared.estate();
    let now = estate.catch_up();
    reply(&json!({"now": now.to_string(), "rate": estate.clock.rate()}))
}

async fn set_clock(State(shared): Estate, body: String) -> Response {
    let mut estate = shared.estate();
    let change = match ClockChange::read(&body, &estate.clock) {
        Ok(change) => change,
        Err(refusal) => {
            return complain(&format!(
                "expected {{\"rate\": 1.0}} or {{\"jump\": 3600}}: {refusal}"
            ));
        }
    };
    if let Some(rate) = change.rate {
        estate.clock.set_rate(rate);
    }
    estate.clock.jump(change.jump.unwrap_or(0.0));
    let now = estate.catch_up();
    reply(&json!({"now": now.to_string()}))
}

async fn add_scenario(State(shared): Estate, body: String) -> Response {
    match Scenario::parse(&body).and_then(|scenario| scenario.enter(&mut shared.estate())) {
        Ok(()) => reply(&json!({})),
        Err(error) => complain(&format!("{error:#}")),
    }
}

async fn world(State(shared): Estate) -> Response {
    reply(&json!(shared.estate().world))
}

async fn set_world(State(shared): Estate, body: String) -> Response {
    match serde_json::from_str::<WorldChange>(&body) {
        Ok(change) => {
            let mut estate = shared.estate();
            estate.world = change.apply(&estate.world);
            reply(&json!(estate.world))
        }
        Err(error) => complain(&error.to_string()),
    }
}

async fn faults(State(shared): Estate) -> Response {
    reply(&json!(shared.estate().faults.0))
}

async fn add_fault(State(shared): Estate, body: String) -> Response {
    let fault = serde_json::from_str::<Fault>(&body).map_err(anyhow::Error::from);
    match fault.and_then(|fault| fault.check().map(|()| fault)) {
        Ok(fault) => {
            shared.estate().faults.0.push(fault);
            reply(&json!({}))
        }
        Err(error) => complain(&error.to_string()),
    }
}

async fn clear_faults(State(shared): Estate) -> Response {
    shared.estate().faults.0.clear();
    reply(&json!({}))
}

async fn hanging(State(shared): Estate) -> Response {
    reply(&json!(shared.hanging()))
}

async fn release(State(shared): Estate) -> Response {
    shared.release();
    reply(&json!({}))
}

async fn secret(State(shared): Estate, Path(name): Path<String>) -> Response {
    let mut estate = shared.estate();
    estate.catch_up();
    match truth::of(&estate, &name) {
        Some(truth) => reply(&json!(truth)),
        None => (
            StatusCode::NOT_FOUND,
            format!("secret {name} does not exist\n"),
        )
            .into_response(),
    }
}

async fn trace(State(shared): Estate) -> Response {
    let lines: Vec<_> = shared
        .estate()
        .trace
        .entries
        .iter()
        .filter_map(|entry| serde_json::to_string(entry).ok())
        .collect();
    (
        [(header::CONTENT_TYPE, "application/jsonl")],
        lines.join("\n") + "\n",
    )
        .into_response()
}

async fn clear_trace(State(shared): Estate) -> Response {
    shared.estate().trace.entries.clear();
    reply(&json!({}))
}

async fn calls(State(shared): Estate) -> Response {
    reply(&json!(truth::calls(&shared.estate().trace)))
}

fn reply(value: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        format!("{value}\n"),
    )
        .into_response()
}

fn complain(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response()
}

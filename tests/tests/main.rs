//! All stories in one program, so that they are linked once and tests of all files run in parallel.

mod actions;
mod alerts;
mod approval;
mod audit;
mod bad_input;
mod beliefs;
mod by_hand;
mod chaos;
mod chart;
mod cli;
mod clocks;
#[cfg(test)]
mod conformance;
mod crashes;
mod crashes_by_hand;
mod dashboard;
mod doctor;
mod documentation;
mod events;
mod gitops;
mod guards;
mod kubectl;
mod lifecycle;
mod neighbors;
mod outages;
mod pace;
mod remedies;
mod rules;
mod runbooks;
mod scale;
mod secure_metrics;
mod stored;
mod triggers;
mod upgrade;
mod windows;
mod wire;

//! All stories in one program: they are linked once, and none waits for the end of the slowest of another file.

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
mod scale;
mod secure_metrics;
mod stored;
mod triggers;
mod upgrade;
mod windows;
mod wire;

//! The features beyond the API of AWS: scenarios, clock, faults, functions, control interface and ground truth.

// Marked as tests so that the lints treat their helpers as such.
#[cfg(test)]
mod client;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod control;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod quirks;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod templates;

//! What the simulator offers beyond AWS's own interface: scenarios, clock, faults, functions, control, ground truth.

mod client;
mod clock;
mod control;
mod faults;
mod functions;
mod scenarios;
mod templates;
mod worlds;

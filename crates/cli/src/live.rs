//! `status --watch`: shows changes on a screen or, without a terminal, line by line.
//!
//! [`model`], [`update`] and [`view`] are pure: messages go in, effects and a picture come out. [`screen`], [`plain`]
//! and [`watch`] do the I/O.

mod connections;
mod model;
mod plain;
mod screen;
#[cfg(test)]
mod tests;
mod update;
mod view;
mod watch;

pub(crate) use self::plain::run as plain;
pub(crate) use self::screen::run as screen;
pub(crate) use self::watch::Scope;

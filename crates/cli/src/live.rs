//! `status --watch`: what changes, on a screen that redraws itself or, where there is none, line by line.
//!
//! [`model`] and [`view`] are pure: messages go in, effects and a picture come out. [`screen`], [`plain`] and
//! [`watch`] do the rest.

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

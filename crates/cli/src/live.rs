//! `status --watch`: what changes, on a screen that redraws itself or, where there is none, line by line.
//!
//! [`model`] and [`view`] are pure: messages go in, effects and a picture come out. [`screen`], [`lines`] and
//! [`feed`] do the rest.

mod feed;
mod lines;
mod links;
mod model;
mod screen;
#[cfg(test)]
mod tests;
mod update;
mod view;

pub(crate) use self::feed::Scope;
pub(crate) use self::lines::run as lines;
pub(crate) use self::screen::run as screen;

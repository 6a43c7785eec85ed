//! Tests of what users and API servers may rely on: definitions, defaults, conversion, status.

mod definitions;
mod operation;
mod policy;
mod profile;
mod reasons;
mod support;

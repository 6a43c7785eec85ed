//! What users and API servers may rely on: definitions, defaults, translation, status.

mod definitions;
mod operation;
mod policy;
mod profile;
mod reasons;
mod support;

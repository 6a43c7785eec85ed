//! Resources prepared for display: rows of secrets, documents, reasons, and short version ids. Pure.

pub(crate) mod operation_document;
pub(crate) mod policy;
pub(crate) mod policy_document;
pub(crate) mod reasons;
pub(crate) mod secret_document;
mod sections;
pub(crate) mod version_id;

pub(crate) use self::sections::Events;

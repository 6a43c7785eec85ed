//! What commands print: text on standard output, tables, documents, durations and manifests.

pub(crate) mod document;
pub(crate) mod duration;
pub(crate) mod manifest;
pub(crate) mod output;
pub(crate) mod style;
pub(crate) mod table;

//! Where the chart lies.

use std::path::PathBuf;

use testenv::project;

/// The folder of the chart.
pub fn folder() -> PathBuf {
    project::root().join("charts/secret-rotation-controller")
}

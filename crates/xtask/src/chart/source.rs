//! The path of the chart.

use std::path::PathBuf;

use testenv::project;

/// Returns the folder of the chart.
pub fn folder() -> PathBuf {
    project::root().join("charts/secret-rotation-controller")
}

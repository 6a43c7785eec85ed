//! A release to install: its manifests and its controller.

use std::path::{Path, PathBuf};

use testenv::project;

use crate::controller;

/// A checkout with a built controller.
#[derive(Clone, Debug)]
pub struct Release {
    root: PathBuf,
    program: PathBuf,
}

impl Release {
    /// Returns the current release.
    pub fn current() -> Self {
        Self {
            root: project::root(),
            program: controller::binary().to_owned(),
        }
    }

    /// Returns the previous release, which `cargo xtask upgrade` built.
    pub fn previous() -> Self {
        let named = |variable| {
            let value = std::env::var_os(variable).map(PathBuf::from);
            value.unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask upgrade`"))
        };
        Self {
            root: named(xtask::upgrade::ROOT),
            program: named(xtask::upgrade::PROGRAM),
        }
    }

    /// Returns the path of a folder or file below `deploy`.
    pub fn manifests(&self, below: &str) -> PathBuf {
        self.root.join("deploy").join(below)
    }

    /// Returns the path of the controller's binary.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

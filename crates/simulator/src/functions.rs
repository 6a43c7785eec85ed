//! Rotation functions: the behavior of a Lambda function in each step, from a script or from the start of its name.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The four steps in their order.
pub const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// The behavior of a function. Steps that are not named succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Script {
    /// The step that fails.
    pub fail: Option<String>,
    /// The number of failures before the function succeeds. It always fails if absent.
    pub failures: Option<u32>,
    /// The step that hangs. AWS stops it after 15 minutes.
    pub hang: Option<String>,
    /// The step after which the function crashes.
    pub crash_after: Option<String>,
    /// Whether the function returns at once without doing anything.
    pub noop: bool,
    /// Whether the function cannot be invoked.
    pub nope: bool,
    /// The duration of one step in seconds. 5 if absent.
    pub step_seconds: Option<u32>,
}

impl Script {
    /// Returns the behavior of a function without a script, from the start of its name.
    pub(crate) fn by_name(function: &str) -> Self {
        let name = function.rsplit(':').next().unwrap_or(function);
        let step_in = |prefix: &str| {
            let rest = name.strip_prefix(prefix)?;
            STEPS
                .iter()
                .find(|step| rest.starts_with(**step))
                .map(|step| (*step).to_owned())
        };
        Self {
            fail: step_in("fail-"),
            hang: step_in("hang-"),
            crash_after: step_in("crash-after-"),
            noop: name.starts_with("noop"),
            nope: name.starts_with("nope"),
            ..Self::default()
        }
    }

    /// Checks the names of the steps. A misspelled step would never be reached, and no one would notice.
    pub(crate) fn check(&self) -> Result<()> {
        let named = [&self.fail, &self.hang, &self.crash_after];
        for step in named.into_iter().flatten() {
            ensure!(
                STEPS.contains(&step.as_str()),
                "{step:?} is not one of {}",
                STEPS.join(", ")
            );
        }
        Ok(())
    }

    pub(crate) fn seconds(&self) -> i64 {
        i64::from(self.step_seconds.unwrap_or(5))
    }
}

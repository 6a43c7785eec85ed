//! Rotation functions: what a Lambda does at each step, by script or by the start of its name.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The four steps in their order.
pub const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// How a function behaves. Steps not mentioned go well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Script {
    /// Fails in this step.
    pub fail: Option<String>,
    /// Fails so often, then goes well; absent = always.
    pub failures: Option<u32>,
    /// Never comes back from this step; AWS ends it after 15 minutes.
    pub hang: Option<String>,
    /// Does this step, then dies.
    pub crash_after: Option<String>,
    /// Returns at once without doing anything.
    pub noop: bool,
    /// Cannot be invoked.
    pub nope: bool,
    /// Seconds for one step; absent = 5.
    pub step_seconds: Option<u32>,
}

impl Script {
    /// What a function without a script does, by the start of its name.
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

    /// A step that is not there would never be reached, and nobody would notice.
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

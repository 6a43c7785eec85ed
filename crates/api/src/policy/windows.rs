//! Maintenance windows, as users write them.

use schemars::JsonSchema;
use secret_rotation_core::maintenance_window as core;
use serde::{Deserialize, Serialize};

use crate::{
    duration::{BoundedDuration, HOUR, MINUTE},
    schema::rule,
    text::Text,
};

/// When automatic operations may start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Windows {
    /// The windows in which automatic operations may start; they may always start if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub allow: Vec<Window>,

    /// The windows in which no automatic operation starts, even in a window of allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub deny: Vec<Window>,
}

/// One recurring window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When the window opens: minute, hour, day of month, month and day of week as in cron, or a shortcut such as @daily.
    #[schemars(extend("x-kubernetes-validations" = [rule(
        "self.matches('^(@[a-z]+|[^ ]+( +[^ ]+){4})$')",
        "write five fields: minute, hour, day of month, month, day of week, as in 0 2 * * 1-5",
    )]))]
    pub schedule: Text<1, 100>,

    /// How long the window stays open, from 1m to 744h of elapsed time.
    pub duration: BoundedDuration<MINUTE, { 744 * HOUR }, HOUR>,

    /// The time zone of the schedule, by its name in the IANA database; UTC if it is left out.
    // No default in the schema: an API server would add it to the list, which its writer owns as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [rule(
        "self.matches('^[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*$')",
        "write a name of the IANA time zone database, as in Europe/Berlin or UTC",
    )]))]
    pub time_zone: Option<Text<1, 64>>,
}

impl Windows {
    /// Parses the windows. If one cannot be parsed, no window opens, but the policy still watches its secrets.
    pub(super) fn to_core(&self) -> core::Windows {
        let allow = each("spec.remediation.windows.allow", &self.allow);
        let deny = each("spec.remediation.windows.deny", &self.deny);
        match (allow, deny) {
            (Ok(allow), Ok(deny)) => core::Windows::Readable { allow, deny },
            (Err(problem), _) | (_, Err(problem)) => core::Windows::Unreadable { problem },
        }
    }
}

fn each(path: &str, windows: &[Window]) -> Result<Vec<core::Window>, String> {
    let parse = |(index, window): (usize, &Window)| {
        let path = format!("{path}[{index}]");
        let duration = window
            .duration
            .parse(&format!("{path}.duration"))
            .map_err(|invalid| invalid.to_string())?;
        let time_zone = window.time_zone.as_deref().unwrap_or("UTC");
        core::Window::new(&window.schedule, duration, time_zone)
            .map_err(|error| format!("{path}: {error}"))
    };
    windows.iter().enumerate().map(parse).collect()
}

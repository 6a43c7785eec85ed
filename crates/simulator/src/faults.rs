//! Faults on the wire: by operation, secret, count or probability.

use serde::{Deserialize, Serialize};

use crate::world::Draw;

/// What goes wrong with requests that fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Fault {
    /// The operation; absent = every one.
    pub operation: Option<String>,
    /// The secret's name, or its ARN; absent = every one.
    pub secret: Option<String>,
    /// Text that must occur in the parameters, such as a label; absent = anything.
    pub containing: Option<String>,
    /// What happens.
    pub kind: FaultKind,
    /// Lets this many go by first.
    pub skip: u32,
    /// Strikes this often; absent = always.
    pub count: Option<u32>,
    /// Strikes with this probability, from 0 to 1.
    pub probability: f64,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// `ThrottlingException`, not applied.
    Throttle,
    /// HTTP 500, not applied.
    ServerError,
    /// HTTP 500, although it was applied.
    ServerErrorAfter,
    /// `AccessDeniedException`, not applied.
    AccessDenied,
    /// Any code, not applied.
    Code {
        /// The code.
        code: String,
        /// The message.
        message: String,
    },
    /// Waits so many of our milliseconds, then goes on.
    Delay(u64),
    /// Waits for ever without being applied; lost if the client goes away.
    HangBefore,
    /// Is applied, then never answers.
    HangAfter,
    /// Is applied, then half of the answer is sent.
    Truncate,
    /// Answers HTML with status 200, not applied.
    Html,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            operation: None,
            secret: None,
            containing: None,
            kind: FaultKind::ServerError,
            skip: 0,
            count: None,
            probability: 1.0,
        }
    }
}

impl Fault {
    /// A fault that strikes requests of one operation.
    pub fn on(operation: &str, kind: FaultKind) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            kind,
            ..Self::default()
        }
    }

    /// Strikes so often and no more.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// Lets so many go by first.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Strikes only requests whose parameters contain the text.
    #[must_use]
    pub fn containing(self, text: &str) -> Self {
        Self {
            containing: Some(text.to_owned()),
            ..self
        }
    }
}

/// The faults that are set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    /// The fault that strikes this request, if one does.
    pub(crate) fn strike(
        &mut self,
        operation: &str,
        secret: Option<&str>,
        parameters: &str,
        draw: &mut Draw,
    ) -> Option<FaultKind> {
        let fault = self
            .0
            .iter_mut()
            .find(|fault| fault.fits(operation, secret, parameters) && fault.count != Some(0))?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a coin need not be fair to the last bit"
        )]
        let drawn = draw.next() as f64 / u64::MAX as f64;
        if drawn > fault.probability {
            return None;
        }
        fault.count = fault.count.map(|count| count - 1);
        Some(fault.kind.clone())
    }
}

impl Fault {
    fn fits(&self, operation: &str, secret: Option<&str>, parameters: &str) -> bool {
        let same_secret = |wanted: &String| {
            secret.is_some_and(|id| id == wanted || id.contains(&format!(":secret:{wanted}-")))
        };
        self.operation
            .as_ref()
            .is_none_or(|wanted| wanted == operation)
            && self.secret.as_ref().is_none_or(same_secret)
            && self
                .containing
                .as_ref()
                .is_none_or(|text| parameters.contains(text.as_str()))
    }
}

//! Faults on the wire: by operation, secret, count or probability.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::quirks::Draw;

/// A fault for matching requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Fault {
    /// The operation. Any operation if absent.
    pub operation: Option<String>,
    /// The name or ARN of the secret. Any secret if absent.
    pub secret: Option<String>,
    /// Text that the parameters must contain, such as a label. Any parameters if absent.
    pub containing: Option<String>,
    /// The region for which the request is signed. Any region if absent.
    pub region: Option<String>,
    /// The effect on the request.
    pub kind: FaultKind,
    /// The number of matching requests to skip first.
    pub skip: u32,
    /// The number of requests to strike. Unlimited if absent.
    pub count: Option<u32>,
    /// The probability of each strike, from 0 to 1.
    pub probability: f64,
}

/// The effect of a fault on a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// `ThrottlingException`, not applied.
    Throttle,
    /// HTTP 500, not applied.
    ServerError,
    /// Applied, then HTTP 500.
    ServerErrorAfter,
    /// The connection is reset without an answer, not applied.
    ResetBefore,
    /// Applied, then the connection is reset without an answer.
    ResetAfter,
    /// `AccessDeniedException`, not applied.
    AccessDenied,
    /// Any code, not applied.
    Code {
        /// The code.
        code: String,
        /// The message.
        message: String,
    },
    /// Applied after this many milliseconds of real time.
    Delay(u64),
    /// Hangs before it is applied. The request is lost if the client disconnects.
    HangBefore,
    /// Applied, then hangs before the answer.
    HangAfter,
    /// Applied, then half of the answer is sent.
    Truncate,
    /// HTML with status 200, not applied.
    Html,
    /// Applied, and answered with this `Date` header. An empty text is an empty header, which is no date.
    Date(String),
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            operation: None,
            secret: None,
            containing: None,
            region: None,
            kind: FaultKind::ServerError,
            skip: 0,
            count: None,
            probability: 1.0,
        }
    }
}

impl Fault {
    /// Creates a fault for requests of one operation.
    pub fn on(operation: &str, kind: FaultKind) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            kind,
            ..Self::default()
        }
    }

    /// Limits the fault to `count` strikes.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// Skips the first `skip` matching requests.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Limits the fault to requests about the secret with this name or ARN.
    #[must_use]
    pub fn about(self, secret: &str) -> Self {
        Self {
            secret: Some(secret.to_owned()),
            ..self
        }
    }

    /// Limits the fault to requests whose parameters contain the text.
    #[must_use]
    pub fn containing(self, text: &str) -> Self {
        Self {
            containing: Some(text.to_owned()),
            ..self
        }
    }

    /// Limits the fault to requests to this region.
    #[must_use]
    pub fn within(self, region: &str) -> Self {
        Self {
            region: Some(region.to_owned()),
            ..self
        }
    }
}

/// The active faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

/// The properties of a request that faults match.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) operation: &'a str,
    /// The identifiers of the secret: the one in the request, its name, and its ARN.
    pub(crate) secret: &'a [String],
    /// The parameters as text, without values.
    pub(crate) parameters: &'a str,
    /// The region for which the request is signed.
    pub(crate) region: &'a str,
}

impl Faults {
    /// Returns the effect of the first fault that strikes this request.
    pub(crate) fn strike(&mut self, target: &Target<'_>, draw: &mut Draw) -> Option<FaultKind> {
        let mut fitting = self.0.iter_mut().filter(|fault| fault.fits(target));
        fitting.find_map(|fault| fault.strikes(draw).then(|| fault.kind.clone()))
    }
}

impl Fault {
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            (0.0..=1.0).contains(&self.probability),
            "the probability {} of a fault is not between 0 and 1",
            self.probability
        );
        Ok(())
    }

    fn fits(&self, target: &Target<'_>) -> bool {
        let operation = self.operation.as_deref();
        operation.is_none_or(|wanted| wanted == target.operation)
            && self
                .secret
                .as_ref()
                .is_none_or(|wanted| target.secret.contains(wanted))
            && self
                .containing
                .as_deref()
                .is_none_or(|text| target.parameters.contains(text))
            && self
                .region
                .as_deref()
                .is_none_or(|wanted| wanted == target.region)
    }

    /// Returns whether the fault strikes a matching request, and updates its counters.
    fn strikes(&mut self, draw: &mut Draw) -> bool {
        if self.count == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if draw.fraction() >= self.probability {
            return false;
        }
        self.count = self.count.map(|count| count - 1);
        true
    }
}

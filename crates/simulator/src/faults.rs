//! Faults on the wire: by operation, secret, count or probability.

use anyhow::{Result, ensure};
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
    /// The region that the request is signed for; absent = every one.
    pub region: Option<String>,
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
    /// The connection is reset without an answer; not applied.
    ResetBefore,
    /// Is applied, then the connection is reset without an answer.
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
    /// Is applied, and answered under this `Date` header; an empty text is no date.
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

    /// Strikes only requests about the secret of this name or ARN.
    #[must_use]
    pub fn about(self, secret: &str) -> Self {
        Self {
            secret: Some(secret.to_owned()),
            ..self
        }
    }

    /// Strikes only requests whose parameters contain the text.
    #[must_use]
    pub fn containing(self, text: &str) -> Self {
        Self {
            containing: Some(text.to_owned()),
            ..self
        }
    }

    /// Strikes only requests to this region.
    #[must_use]
    pub fn within(self, region: &str) -> Self {
        Self {
            region: Some(region.to_owned()),
            ..self
        }
    }
}

/// The faults that are set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

/// What faults look at in a request.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) operation: &'a str,
    /// Everything that names the secret: what the request says, its name, its ARN.
    pub(crate) secret: &'a [String],
    /// The parameters as text, without values.
    pub(crate) parameters: &'a str,
    /// The region that it is signed for.
    pub(crate) region: &'a str,
}

impl Faults {
    /// The first fault that strikes this request, if one does.
    pub(crate) fn strike(&mut self, target: &Target<'_>, draw: &mut Draw) -> Option<FaultKind> {
        let mut fitting = self.0.iter_mut().filter(|fault| fault.fits(target));
        fitting.find_map(|fault| fault.strikes(draw).then(|| fault.kind.clone()))
    }
}

impl Fault {
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            (0.0..=1.0).contains(&self.probability),
            "the probability {} of a fault is not from 0 to 1",
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

    /// Whether it is this fault's turn with a request that fits.
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

//! What a step is decided from.

use crate::authorise::{Authority, Refusal};
use crate::consent::Consent;
use crate::history::History;
use crate::permit::Gate;
use crate::pin::ClusterId;
use crate::policy::Policy;
use crate::secret::Look;
use crate::time::{AwsTime, ServerTime};

/// Everything that a step is decided from, all of it read for this step.
#[derive(Clone, Debug)]
pub struct StepInput<'a> {
    /// The secret, as just read.
    pub look: &'a Look,
    /// The policy, by quorum read; `None` = it is gone or is another one under the same name.
    pub policy: Option<&'a Policy>,
    /// Whether profile, policy and namespace allow the action on this secret.
    pub authority: Result<Authority, Refusal>,
    /// Whether a person agrees, where that is needed.
    pub consent: Consent,
    /// The API server's time: deadlines are measured on it.
    pub server_now: ServerTime,
    /// Whether windows, budgets and the breaker let an automatic operation begin.
    pub gate: Gate,
    /// Every operation on this secret, the own one included, by quorum read.
    pub history: History<'a>,
    /// The cluster whose pins belong to this controller.
    pub cluster: &'a ClusterId,
    /// Since when this process has seen the labels and versions of the secret unchanged, without a gap of more than an
    /// hour between two looks. `None` = it has not watched long enough to know.
    pub unchanged_since: Option<AwsTime>,
}

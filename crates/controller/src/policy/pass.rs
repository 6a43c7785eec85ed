//! One pass over a policy as a value: how far it came, and what it found and planned.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_api::Readiness;
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::Plan;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::survey::Survey;
use secret_rotation_core::time::AwsTime;

use crate::clock;
use crate::sweep::SweepView;

/// Maximum time between two passes over a policy, so that its status shows the time of its last check.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// Minimum time before a pass that only the time triggers.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// One pass over a policy, as far as it came.
pub(super) enum Pass<'a> {
    /// The secrets could not be evaluated. What is known of them stays as it was.
    Unevaluated {
        /// The policy, if it can be parsed.
        policy: Option<&'a Policy>,
        /// Why not.
        readiness: Readiness,
    },
    /// The secrets were evaluated.
    Evaluated(Box<Evaluated>),
}

/// What was found and planned for a policy.
pub(super) struct Evaluated {
    pub(super) bound_policy: Arc<BoundPolicy>,
    pub(super) view: SweepView,
    pub(super) operations: OperationIndex,
    pub(super) survey: Survey,
    pub(super) plan: Plan,
    /// Whether automatic operations may now start where they could not before, or the reverse.
    pub(super) has_moved: bool,
    pub(super) now: AwsTime,
}

impl Evaluated {
    /// Returns the time until the next pass if nothing happens.
    pub(super) fn requeue_after(&self) -> Duration {
        let until = self.plan.wake_at.map_or(LONGEST_PAUSE, |wake_at| {
            clock::time_until(wake_at, self.now)
        });
        until.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

//! Events of the rotation state machine that are scheduled for a later time.

/// A scheduled event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A step of the rotation function ends.
    Step {
        arn: String,
        token: String,
        step: usize,
        attempt: u32,
    },
    /// The run of a hanging function times out.
    Timeout {
        arn: String,
        token: String,
        attempt: u32,
    },
    /// AWS retries a failed rotation.
    Retry {
        arn: String,
        token: String,
        attempt: u32,
    },
    /// The test of a rotation configuration ends.
    Tested { arn: String, token: String },
    /// AWS removes AWSPENDING after a finished rotation.
    CleanUp { arn: String, token: String },
    /// The `NextRotationDate` is reached.
    Due { arn: String },
}

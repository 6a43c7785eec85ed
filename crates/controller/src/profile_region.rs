//! A region of a profile: what one sweeper serves, with one connection to AWS.

use std::fmt;

use secret_rotation_core::names::{ProfileName, Region};

/// A region of a profile, which one sweeper serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProfileRegion {
    /// The profile with whose permissions it is read.
    pub profile: ProfileName,
    /// The AWS region.
    pub region: Region,
}

impl fmt::Display for ProfileRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.profile, self.region)
    }
}

//! The contexts of the stories: what AWS holds, who acts on it, and everything that runs.
//!
//! [`Story::recovering`] and [`Story::observing`] are the two usual ones. [`Story::arranged`] builds every other one step by
//! step.

use secret_rotation_simulator::Fault;
use serde_json::{Value, json};

use crate::{Policy, Story};

/// Every action that a profile can allow.
pub const EVERYTHING: [&str; 5] = [
    "Rotate",
    "ClearPending",
    "PromotePending",
    "RevertToPrevious",
    "RestoreSecret",
];

/// Returns an estate of one secret, `app/db`, in a state of the simulator such as `stuck-empty`.
pub fn one(state: &str) -> String {
    format!("generate: [{{count: 1, name: app/db, state: {state}}}]")
}

/// Returns an estate of one secret, `app/db`, with a rotation function such as `ok-db`.
pub fn one_of(state: &str, function: &str) -> String {
    format!("generate: [{{count: 1, name: app/db, state: {state}, function: {function}}}]")
}

/// Returns an estate of so many secrets, `app/db-1` and so on, in the same state.
pub fn many(count: usize, state: &str) -> String {
    format!("generate: [{{count: {count}, name: 'app/db-{{n}}', state: {state}}}]")
}

/// A story before anything runs. Its profile allows everything unless [`profile`](Self::profile) changes it.
#[derive(Debug)]
#[must_use = "nothing runs before it is started"]
pub struct Arrangement {
    story: Story,
    profile: Value,
    policies: Vec<Policy>,
}

impl Story {
    /// Starts a story in which policy `apps` acts on the estate.
    pub fn recovering(estate: &str) -> Self {
        Self::with(estate, &Policy::acting("apps"))
    }

    /// Starts a story in which policy `apps` observes the estate.
    pub fn observing(estate: &str) -> Self {
        Self::with(estate, &Policy::observing("apps"))
    }

    /// Starts a story with a profile that allows everything, one policy and one controller.
    pub fn with(estate: &str, policy: &Policy) -> Self {
        Self::arranged(estate).policy(policy).start()
    }

    /// Begins to arrange a story: AWS holds the estate.
    pub fn arranged(estate: &str) -> Arrangement {
        Arrangement {
            story: Self::begin(estate),
            profile: json!({}),
            policies: Vec::new(),
        }
    }
}

impl Arrangement {
    /// Changes the profile that allows everything.
    pub fn profile(mut self, changes: &Value) -> Self {
        changes.clone_into(&mut self.profile);
        self
    }

    /// Allows every action, the manual ones too.
    pub fn allowing_everything(self) -> Self {
        self.profile(&json!({"allowedActions": EVERYTHING}))
    }

    /// Applies a profile of another name: everything to everyone, except for these changes.
    pub fn profile_called(self, name: &str, changes: &Value) -> Self {
        self.story.profile_called(name, changes);
        self
    }

    /// Adds a policy. Policies are applied after the profile, in their order.
    pub fn policy(mut self, policy: &Policy) -> Self {
        self.policies.push(policy.clone());
        self
    }

    /// Makes AWS fail.
    pub fn fault(self, fault: Fault) -> Self {
        self.faults([fault])
    }

    /// Makes AWS fail in several ways.
    pub fn faults(self, faults: impl IntoIterator<Item = Fault>) -> Self {
        for fault in faults {
            self.story.aws.inject(fault);
        }
        self
    }

    /// Applies roles and bindings.
    pub fn roles(self, roles: &[Value]) -> Self {
        self.story.allow(roles);
        self
    }

    /// Applies profile and policies, and starts one controller.
    pub fn start(self) -> Story {
        self.start_with(&[])
    }

    /// Applies profile and policies, and starts one controller with further arguments.
    pub fn start_with(self, arguments: &[&str]) -> Story {
        let mut story = self.ready();
        story.start_controller_with(arguments);
        story
    }

    /// Applies profile and policies, and starts nothing.
    pub fn ready(self) -> Story {
        self.story.profile(&self.profile);
        for policy in &self.policies {
            self.story.apply_policy(policy);
        }
        self.story
    }
}

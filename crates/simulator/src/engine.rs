//! The rotation state machine: four steps against a function and a target, AWS's own retries, schedules.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::arn::Arn;
use crate::event::{Event, RunEvent, RunEventKind};
use crate::functions::{STEPS, Script};
use crate::labels::{CURRENT, PENDING};
use crate::lambda::{StepEnd, lambda};
use crate::schedule;
use crate::state::SimulatedAws;
use crate::trace::Cause;

/// The maximum run time of a Lambda function.
const LAMBDA_LIMIT: SignedDuration = SignedDuration::from_mins(15);

impl SimulatedAws {
    pub(crate) fn handle(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Due { arn } => self.start_scheduled(arn, at),
            Event::Run(event) => self.continue_run(event, at),
        }
    }

    fn continue_run(&mut self, event: &RunEvent, at: Timestamp) {
        let RunEvent { arn, token, kind } = event;
        match *kind {
            RunEventKind::Step { step, attempt } => self.step(arn, token, step, attempt, at),
            RunEventKind::Timeout { attempt } => self.fail_run(arn, token, attempt, at),
            RunEventKind::Retry { attempt } => self.start_run(arn, token, attempt, at),
            RunEventKind::Tested => self.end_test(arn, token, at),
            RunEventKind::CleanUp => self.clean_up(arn, token, at),
        }
    }

    /// Starts a run of the function for a version, from the first step. A version has one run at a time. The run of a
    /// version that has lost AWSPENDING no longer counts.
    pub(crate) fn start_run(&mut self, arn: &Arn, token: &str, attempt: u32, at: Timestamp) {
        let Some(secret) = self.secrets.get_mut(arn) else {
            return;
        };
        let runnable = secret.unfinished() == Some(token)
            && secret.rare.running.as_deref() != Some(token)
            && secret.rare.deleted.is_none();
        if !runnable || secret.rotation.enabled != Some(true) {
            return;
        }
        secret.rare.running = Some(token.to_owned());
        self.announce_rotation(arn, token, "RotationStarted", None, at);
        let seconds = self.script(arn, None).seconds();
        let event = Event::run(arn, token, RunEventKind::Step { step: 0, attempt });
        self.schedule(at + SignedDuration::from_secs(seconds), event);
    }

    /// Creates the empty version of a new rotation and starts a run. The run of an earlier version, which loses its
    /// label, no longer counts.
    pub(crate) fn begin_rotation(&mut self, arn: &Arn, token: &str, cause: &Cause, at: Timestamp) {
        self.change(arn, cause, at, |secret| {
            secret.attach(PENDING, token);
            secret.last_changed = at;
            secret.rotation_mut().enabled = Some(true);
            secret.rare.running = None;
        });
        self.start_run(arn, token, 0, at);
    }

    /// Runs testSecret alone, on a pending version that exists during the test.
    pub(crate) fn begin_test(&mut self, arn: &Arn, token: &str, cause: &Cause, at: Timestamp) {
        self.change(arn, cause, at, |secret| {
            secret.attach(PENDING, token);
            secret.last_changed = at;
            secret.rare.running = Some(token.to_owned());
        });
        let script = self.script(arn, None);
        let takes = if script.hang.as_deref() == Some("testSecret") {
            LAMBDA_LIMIT
        } else {
            SignedDuration::from_secs(script.seconds())
        };
        let event = Event::run(arn, token, RunEventKind::Tested);
        self.schedule(at + takes, event);
    }

    fn end_test(&mut self, arn: &Arn, token: &str, at: Timestamp) {
        self.change(arn, &Cause::Rotation, at, |secret| {
            if secret.rare.running.as_deref() != Some(token) {
                return;
            }
            secret.rare.running = None;
            let step = "testSecret".to_owned();
            *secret.rare.invocations.entry(step).or_default() += 1;
            if secret.unfinished() == Some(token) {
                secret.detach(PENDING);
                secret
                    .versions
                    .retain(|id, version| **id != *token || !version.labels.is_empty());
                secret.last_changed = at;
            }
        });
    }

    /// Returns the script of the secret's function, or of `instead`.
    pub(crate) fn script(&self, arn: &Arn, instead: Option<&str>) -> Script {
        let secret = || self.secrets.get(arn)?.rotation.function.clone();
        let function = instead
            .map(str::to_owned)
            .or_else(secret)
            .unwrap_or_default();
        let name = function.rsplit(':').next().unwrap_or_default();
        self.functions
            .get(name)
            .cloned()
            .unwrap_or_else(|| Script::by_name(&function))
    }

    fn step(&mut self, arn: &Arn, token: &str, step: usize, attempt: u32, at: Timestamp) {
        let script = self.script(arn, None);
        let Some(name) = STEPS.get(step).copied() else {
            return;
        };
        let Some(secret) = self.secrets.get_mut(arn) else {
            return;
        };
        if secret.rare.running.as_deref() != Some(token) {
            return;
        }
        *secret.rare.invocations.entry(name.to_owned()).or_default() += 1;
        match self.run_step(arn, token, name, &script, at) {
            StepEnd::Hung => self.schedule(
                at + LAMBDA_LIMIT,
                Event::run(arn, token, RunEventKind::Timeout { attempt }),
            ),
            StepEnd::Failed => self.fail_run(arn, token, attempt, at),
            StepEnd::NothingToDo => self.end_run(arn, token),
            StepEnd::Done if step + 1 == STEPS.len() => self.finish_rotation(arn, token, at),
            StepEnd::Done => {
                let next = Event::run(
                    arn,
                    token,
                    RunEventKind::Step {
                        step: step + 1,
                        attempt,
                    },
                );
                self.schedule(at + SignedDuration::from_secs(script.seconds()), next);
            }
        }
    }

    fn run_step(
        &mut self,
        arn: &Arn,
        token: &str,
        name: &str,
        script: &Script,
        at: Timestamp,
    ) -> StepEnd {
        let in_step = |wanted: &Option<String>| wanted.as_deref() == Some(name);
        let still_fails = self.still_fails(arn, script);
        if script.noop {
            return StepEnd::NothingToDo;
        }
        if script.nope {
            return StepEnd::Failed;
        }
        if in_step(&script.fail) && still_fails {
            self.count_failure(arn);
            return StepEnd::Failed;
        }
        if in_step(&script.hang) && still_fails {
            self.count_failure(arn);
            return StepEnd::Hung;
        }
        let end = self
            .change(arn, &Cause::Rotation, at, |secret| {
                lambda(secret, token, name, at)
            })
            .unwrap_or(StepEnd::Failed);
        if in_step(&script.crash_after) && still_fails {
            self.count_failure(arn);
            StepEnd::Failed
        } else {
            end
        }
    }

    fn still_fails(&self, arn: &Arn, script: &Script) -> bool {
        let failed = self
            .secrets
            .get(arn)
            .map_or(0, |secret| secret.rare.failures);
        script.failures.is_none_or(|failures| failed < failures)
    }

    fn count_failure(&mut self, arn: &Arn) {
        if let Some(secret) = self.secrets.get_mut(arn) {
            secret.rare.failures += 1;
        }
    }

    /// Sets the scripts of functions and resets their counts of failures.
    pub(crate) fn set_scripts(&mut self, scripts: BTreeMap<String, Script>) {
        let failed = self.secrets.values_mut();
        for secret in failed.filter(|secret| secret.rare.failures > 0) {
            let function = secret.rotation.function.as_deref();
            let name = function.and_then(|arn| arn.rsplit(':').next());
            if name.is_some_and(|name| scripts.contains_key(name)) {
                secret.rare.failures = 0;
            }
        }
        self.functions.extend(scripts);
    }

    fn is_running(&self, arn: &Arn, token: &str) -> bool {
        let secret = self.secrets.get(arn);
        secret.is_some_and(|secret| secret.rare.running.as_deref() == Some(token))
    }

    fn end_run(&mut self, arn: &Arn, token: &str) {
        if let Some(secret) = self.secrets.get_mut(arn)
            && secret.rare.running.as_deref() == Some(token)
        {
            secret.rare.running = None;
        }
    }

    /// Ends a run as failed. AWS retries a failed rotation on the same UTC day.
    fn fail_run(&mut self, arn: &Arn, token: &str, attempt: u32, at: Timestamp) {
        if !self.is_running(arn, token) {
            return;
        }
        self.end_run(arn, token);
        let function = self
            .secrets
            .get(arn)
            .and_then(|secret| secret.rotation.function.clone());
        let error = format!(
            "Error when executing lambda {} during rotation",
            function.unwrap_or_default()
        );
        self.announce_rotation(arn, token, "RotationFailed", Some(error), at);
        let again = at + SignedDuration::from_secs(i64::from(self.quirks.own_retry_interval));
        let same_day = again.as_second().div_euclid(86_400) == at.as_second().div_euclid(86_400);
        if attempt < self.quirks.own_retries && same_day {
            self.schedule(
                again,
                Event::run(
                    arn,
                    token,
                    RunEventKind::Retry {
                        attempt: attempt + 1,
                    },
                ),
            );
        }
    }

    fn finish_rotation(&mut self, arn: &Arn, token: &str, at: Timestamp) {
        self.end_run(arn, token);
        let delay = SignedDuration::from_secs(i64::from(self.quirks.finish_delay));
        self.schedule(at + delay, Event::run(arn, token, RunEventKind::CleanUp));
        let Some(secret) = self.secrets.get_mut(arn) else {
            return;
        };
        secret.last_rotated = Some(at);
        secret.next_rotation = schedule::next(&secret.rotation, at);
        self.announce_rotation(arn, token, "RotationSucceeded", None, at);
        self.plan_next(arn, at);
    }

    /// Schedules the rotation at `NextRotationDate`. A date in the past stays as it is, as if AWS had missed it.
    pub(crate) fn plan_next(&mut self, arn: &Arn, now: Timestamp) {
        let secret = self.secrets.get(arn);
        let next = secret.and_then(|secret| secret.next_rotation);
        if let Some(next) = next.filter(|next| *next > now) {
            self.schedule(next, Event::Due { arn: arn.clone() });
        }
    }

    fn start_scheduled(&mut self, arn: &Arn, at: Timestamp) {
        let Some(secret) = self.secrets.get(arn) else {
            return;
        };
        let is_due = self.quirks.schedules_run
            && secret.next_rotation == Some(at)
            && secret.rotation.enabled == Some(true);
        let idle =
            secret.unfinished().is_none() && secret.rare.deleted.is_none() && !secret.is_replica();
        let rotatable = secret.rotation.function.is_some() || secret.rare.owning_service.is_some();
        if is_due && idle && rotatable {
            let token =
                uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("{arn}{at}").as_bytes())
                    .to_string();
            self.begin_rotation(arn, &token, &Cause::Rotation, at);
        }
    }

    fn clean_up(&mut self, arn: &Arn, token: &str, at: Timestamp) {
        self.change(arn, &Cause::Rotation, at, |secret| {
            if secret.holder(PENDING) == Some(token) && secret.holder(CURRENT) == Some(token) {
                secret.detach(PENDING);
                secret.last_changed = at;
            }
        });
    }
}

//! `RotateSecret` and `CancelRotateSecret`.

use serde_json::{Value, json};

use super::{Answer, Call};
use crate::arn::Arn;
use crate::errors::ApiError;
use crate::labels::{CURRENT, PENDING};
use crate::schedule;
use crate::trace::Cause;

impl Call<'_> {
    pub(super) fn rotate_secret(&mut self) -> Answer {
        // Reported even for a secret that does not exist (recorded 2023-05-12).
        let Some(token) = self.parameters.token()? else {
            return Err(ApiError::invalid_parameter(
                "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
            ));
        };
        check_rules(&self.parameters.0["RotationRules"])?;
        let (arn, name) = self.rotatable()?;
        let function = self.parameters.text("RotationLambdaARN");
        if self.state.script(&arn, function).nope {
            return Err(ApiError::cannot_invoke());
        }
        let answer = json!({"ARN": arn, "Name": name, "VersionId": token});
        if let Some(pending) = self.unfinished(&arn) {
            return self.refuse_or_repeat(&arn, token, &pending, answer);
        }
        self.set_rules(&arn)?;
        let known = self
            .state
            .secrets
            .get(&arn)
            .is_some_and(|secret| secret.versions.contains_key(token));
        if !known {
            let cause = Cause::Request(self.caller.request_id.clone());
            if self.parameters.flag("RotateImmediately") == Some(false) {
                self.state.begin_test(&arn, token, &cause, self.now);
            } else {
                self.state.begin_rotation(&arn, token, &cause, self.now);
            }
        }
        Ok(answer)
    }

    fn rotatable(&self) -> Result<(Arn, String), ApiError> {
        let secret = self.writable()?;
        let managed = secret.rare.owning_service.is_some();
        if managed && self.parameters.text("RotationLambdaARN").is_some() {
            return Err(ApiError::invalid_request(
                "You can't set a rotation function for a secret that is managed by another service.",
            ));
        }
        let function = secret.rotation.function.is_some()
            || self.parameters.text("RotationLambdaARN").is_some();
        if !function && !managed {
            return Err(ApiError::function_missing());
        }
        Ok((secret.arn.clone(), secret.name().to_owned()))
    }

    fn unfinished(&self, arn: &Arn) -> Option<String> {
        self.state.secrets.get(arn)?.unfinished().map(str::to_owned)
    }

    /// Refuses a rotation while another one is unfinished. AWS reports that it will retry the unfinished one.
    fn refuse_or_repeat(&mut self, arn: &Arn, token: &str, pending: &str, answer: Value) -> Answer {
        if token == pending && self.state.quirks.same_token_succeeds {
            return Ok(answer);
        }
        if self.state.quirks.retry_on_rotate {
            self.state
                .start_run(arn, pending, self.state.quirks.own_retries, self.now);
        }
        Err(ApiError::rotation_incomplete())
    }

    /// Applies the rules and the function of the request. The call always turns rotation on.
    fn set_rules(&mut self, arn: &Arn) -> Result<(), ApiError> {
        let function = self.parameters.text("RotationLambdaARN").map(str::to_owned);
        let rules = self.parameters.0.get("RotationRules").cloned();
        let now = self.now;
        self.change(arn, |secret| {
            let rotation = secret.rotation_mut();
            let was = rotation.enabled;
            rotation.function = function.or(rotation.function.take());
            if let Some(rules) = &rules {
                rotation.days = rules["AutomaticallyAfterDays"].as_i64();
                rotation.schedule = rules["ScheduleExpression"].as_str().map(str::to_owned);
                rotation.duration = rules["Duration"].as_str().map(str::to_owned);
            }
            rotation.enabled = Some(true);
            if was != Some(true) || rules.is_some() {
                secret.next_rotation = schedule::next(&secret.rotation, now);
            }
        })?;
        self.state.plan_next(arn, now);
        Ok(())
    }

    /// Turns rotation off and leaves AWSPENDING in place.
    pub(super) fn cancel_rotate_secret(&mut self) -> Answer {
        let secret = self.writable()?;
        if secret.rotation.function.is_none() && secret.rare.owning_service.is_none() {
            return Err(ApiError::function_missing());
        }
        let mut answer = super::named(secret);
        if let Some(pending) = secret
            .holder(PENDING)
            .filter(|pending| secret.holder(CURRENT) != Some(*pending))
        {
            answer["VersionId"] = json!(pending);
        }
        let (arn, now) = (secret.arn.clone(), self.now);
        self.change(&arn, |secret| {
            secret.rotation_mut().enabled = Some(false);
            secret.next_rotation = None;
            secret.rare.running = None;
            secret.last_changed = now;
        })?;
        Ok(answer)
    }
}

/// Checks rules: days from 1 to 1000 or an expression, not both, and a window in hours.
fn check_rules(rules: &Value) -> Result<(), ApiError> {
    let refused = |message: &str| Err(ApiError::invalid_parameter(message));
    let days = rules["AutomaticallyAfterDays"].as_i64();
    if days.is_some_and(|days| !(1..=1000).contains(&days)) {
        return refused("AutomaticallyAfterDays must be between 1 and 1000.");
    }
    if days.is_some() && rules["ScheduleExpression"].is_string() {
        return refused("You can't set both AutomaticallyAfterDays and ScheduleExpression.");
    }
    let expression = rules["ScheduleExpression"].as_str();
    if expression.is_some_and(|expression| !schedule::is_valid(expression)) {
        return refused("ScheduleExpression is not a schedule that AWS knows.");
    }
    let is_hours = |text: &str| {
        text.strip_suffix('h')
            .is_some_and(|number| number.parse::<u32>().is_ok())
    };
    match rules["Duration"].as_str() {
        Some(duration) if !is_hours(duration) => refused("Duration must be hours, such as 3h."),
        Some(_) | None => Ok(()),
    }
}

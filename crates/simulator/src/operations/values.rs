//! Operations on values, to simulate users and rotation functions. The product never calls them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, Call, seconds};
use crate::arn::Arn;
use crate::compact::SortedMap;
use crate::errors::ApiError;
use crate::labels::{CURRENT, PENDING};
use crate::model::{Secret, SecretValue, Version};
use crate::schedule;

impl Call<'_> {
    pub(super) fn create_secret(&mut self) -> Answer {
        let name = self.parameters.required("Name")?;
        let (account, region) = (self.caller.account.clone(), self.caller.region.clone());
        if self.state.resolve(name, &account, &region).is_ok() {
            return Err(ApiError::new(
                "ResourceExistsException",
                format!("The operation failed because the secret {name} already exists."),
            ));
        }
        let arn = self.state.new_arn(name, &region, &account);
        let mut secret = Secret::blank(arn.clone(), self.now);
        secret.rare.description = self.parameters.text("Description").map(str::to_owned);
        secret.tags = tags(self.parameters.list("Tags"));
        let mut answer = json!({"ARN": arn, "Name": name});
        if let Some(value) = self.value() {
            let token = self
                .parameters
                .token()?
                .map_or_else(|| self.drawn_token(), str::to_owned);
            secret.versions.insert(
                token.as_str().into(),
                Version {
                    labels: [CURRENT].into_iter().collect(),
                    value: Some(value.clone()),
                    created: Some(self.now),
                },
            );
            secret.target.accepts = vec![value];
            answer["VersionId"] = json!(token);
        }
        self.state.secrets.insert(secret);
        Ok(answer)
    }

    pub(super) fn put_secret_value(&mut self) -> Answer {
        let secret = self.writable()?;
        self.check_value()?;
        let value = self.value().ok_or_else(|| {
            ApiError::invalid_request("You must provide either SecretString or SecretBinary.")
        })?;
        let Some(token) = self.parameters.token()? else {
            return Err(ApiError::invalid_request(
                "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
            ));
        };
        let labels = self.parameters.texts("VersionStages");
        let labels: BTreeSet<String> = if labels.is_empty() {
            [CURRENT.to_owned()].into()
        } else {
            labels.into_iter().map(str::to_owned).collect()
        };
        let answer = json!({"ARN": secret.arn, "Name": secret.name(), "VersionId": token, "VersionStages": labels});
        match secret
            .versions
            .get(token)
            .and_then(|version| version.value.clone())
        {
            Some(there) if there == value => return Ok(answer),
            Some(_) => {
                let message =
                    "You can't modify an existing version, you can only create a new version.";
                return Err(ApiError::new("ResourceExistsException", message));
            }
            None => {}
        }
        let arn = secret.arn.clone();
        self.store(&arn, token, value, &labels)?;
        Ok(answer)
    }

    /// Checks a value: text or bytes, not both, of at most 65,536 bytes, with at most 20 labels.
    fn check_value(&self) -> Result<(), ApiError> {
        let (text, bytes) = (
            self.parameters.text("SecretString"),
            self.parameters.text("SecretBinary"),
        );
        if text.is_some() && bytes.is_some() {
            let message = "You can't specify both a binary secret value and a string secret value in the same secret.";
            return Err(ApiError::invalid_parameter(message));
        }
        if text.is_some_and(|text| text.len() > 65_536) {
            let message = "SecretString must be at most 65536 bytes long.";
            return Err(ApiError::invalid_parameter(message));
        }
        if self.parameters.list("VersionStages").len() > 20 {
            let message = "VersionStages must hold at most 20 staging labels.";
            return Err(ApiError::invalid_parameter(message));
        }
        Ok(())
    }

    /// Stores a value. A new current version abandons the rotation in progress and counts as a rotation for the next
    /// date.
    fn store(
        &mut self,
        arn: &Arn,
        token: &str,
        value: SecretValue,
        labels: &BTreeSet<String>,
    ) -> Result<(), ApiError> {
        let now = self.now;
        self.change(arn, |secret| {
            let version = secret.versions.entry(token);
            version.value = Some(value);
            version.created = Some(now);
            for label in labels {
                if label == CURRENT {
                    secret.promote(token);
                } else {
                    secret.attach(label, token);
                }
            }
            if labels.contains(CURRENT) {
                secret.detach(PENDING);
                secret.rare.running = None;
                secret.next_rotation = schedule::next(&secret.rotation, now);
            }
            secret.last_changed = now;
            secret.collect(now);
        })
    }

    pub(super) fn update_secret(&mut self) -> Answer {
        let secret = self.writable()?;
        let (arn, name, now) = (secret.arn.clone(), secret.name().to_owned(), self.now);
        let description = self.parameters.text("Description").map(str::to_owned);
        self.change(&arn, |secret| {
            secret.rare.description = description.or(secret.rare.description.take());
            secret.last_changed = now;
        })?;
        let mut answer = json!({"ARN": arn, "Name": name});
        if let Some(value) = self.value() {
            let token = self
                .parameters
                .token()?
                .map_or_else(|| self.drawn_token(), str::to_owned);
            self.store(&arn, &token, value, &[CURRENT.to_owned()].into())?;
            answer["VersionId"] = json!(token);
        }
        Ok(answer)
    }

    pub(super) fn get_secret_value(&mut self) -> Answer {
        let secret = self.secret()?;
        if secret.rare.deleted.is_some() {
            return Err(ApiError::marked_for_deletion());
        }
        let stage = self.parameters.text("VersionStage").unwrap_or(CURRENT);
        let version = self
            .parameters
            .text("VersionId")
            .or_else(|| secret.holder(stage))
            .ok_or_else(|| ApiError::value_not_found(stage))?;
        let there = secret
            .versions
            .get(version)
            .ok_or_else(|| ApiError::value_not_found(stage))?;
        let value = there
            .value
            .as_ref()
            .ok_or_else(|| ApiError::value_not_found(stage))?;
        let created = there.created.map(seconds);
        Ok(
            json!({"ARN": secret.arn, "Name": secret.name(), "VersionId": version, "SecretString": value.to_string(), "VersionStages": there.labels, "CreatedDate": created}),
        )
    }

    pub(super) fn batch_get_secret_value(&mut self) -> Value {
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for id in self.parameters.texts("SecretIdList") {
            let wanted = json!({"SecretId": id});
            let mut call = Call {
                state: &mut *self.state,
                caller: self.caller,
                parameters: super::Parameters(&wanted),
                now: self.now,
            };
            match call.get_secret_value() {
                Ok(value) => values.push(value),
                Err(error) => errors.push(
                    json!({"SecretId": id, "ErrorCode": error.code, "Message": error.message}),
                ),
            }
        }
        json!({"SecretValues": values, "Errors": errors})
    }

    pub(super) fn random_password(&mut self) -> Value {
        let length = self
            .parameters
            .number("PasswordLength")
            .unwrap_or(32)
            .clamp(1, 4096);
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let password: String = (0..length)
            .map(|_| char::from(letters[self.state.draw.below(letters.len())]))
            .collect();
        json!({"RandomPassword": password})
    }

    fn value(&self) -> Option<SecretValue> {
        let text = self.parameters.text("SecretString");
        text.or_else(|| self.parameters.text("SecretBinary"))
            .map(SecretValue::from)
    }

    fn drawn_token(&mut self) -> String {
        let name = format!("{}{}", self.caller.request_id, self.state.draw.next());
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    }
}

pub(super) fn tags(list: &[Value]) -> SortedMap<Arc<str>, Arc<str>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().into();
    list.iter()
        .map(|tag| (text(&tag["Key"]), text(&tag["Value"])))
        .collect()
}

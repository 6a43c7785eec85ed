//! Deletion, tags, replicas and resource policies.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Answer, Call, named, seconds, values};
use crate::arn::Arn;
use crate::errors::ApiError;
use crate::model::{Deletion, Secret};

impl Call<'_> {
    pub(super) fn delete_secret(&mut self) -> Answer {
        let secret = self.secret()?;
        let days = self.parameters.number("RecoveryWindowInDays").unwrap_or(30);
        let force = self.parameters.flag("ForceDeleteWithoutRecovery") == Some(true);
        if force && self.parameters.number("RecoveryWindowInDays").is_some() {
            let message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
            return Err(ApiError::invalid_parameter(message));
        }
        if !(7..=30).contains(&days) {
            return Err(ApiError::invalid_parameter(
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
            ));
        }
        if !secret.rare.replicas.is_empty() {
            return Err(ApiError::invalid_request(
                "You can't delete secret while it still has replica regions.",
            ));
        }
        let (arn, now, mut answer) = (secret.arn.clone(), self.now, named(secret));
        if force || secret.is_replica() {
            self.state.secrets.remove(&arn);
            answer["DeletionDate"] = json!(seconds(now));
            return Ok(answer);
        }
        if secret.rare.deleted.is_some() {
            return Err(ApiError::marked_for_deletion());
        }
        self.change(&arn, |secret| {
            secret.rare.deleted = Some(Deletion {
                requested: now,
                window_days: days,
            });
            secret.last_changed = now;
        })?;
        answer["DeletionDate"] = json!(seconds(now + SignedDuration::from_hours(24 * days)));
        Ok(answer)
    }

    pub(super) fn restore_secret(&mut self) -> Answer {
        let secret = self.secret()?;
        let (arn, now, answer) = (secret.arn.clone(), self.now, named(secret));
        let over = |deletion: Deletion| {
            now > deletion.requested + SignedDuration::from_hours(24 * deletion.window_days)
        };
        if secret.rare.deleted.is_some_and(over) {
            return Err(ApiError::invalid_request(
                "You can't perform this operation on the secret because it was deleted.",
            ));
        }
        self.change(&arn, |secret| {
            secret.rare.deleted = None;
            secret.last_changed = now;
        })?;
        Ok(answer)
    }

    pub(super) fn tag_resource(&mut self) -> Answer {
        let arn = self.writable()?.arn.clone();
        let (tags, now) = (values::tags(self.parameters.list("Tags")), self.now);
        self.change(&arn, |secret| {
            secret.tags.extend(tags);
            secret.last_changed = now;
        })?;
        Ok(json!({}))
    }

    pub(super) fn untag_resource(&mut self) -> Answer {
        let arn = self.writable()?.arn.clone();
        let (keys, now) = (self.parameters.texts("TagKeys"), self.now);
        self.change(&arn, |secret| {
            secret.tags.retain(|key, _| !keys.contains(&&**key));
            secret.last_changed = now;
        })?;
        Ok(json!({}))
    }

    pub(super) fn replicate_secret_to_regions(&mut self) -> Answer {
        let arn = self.writable()?.arn.clone();
        let regions = self
            .parameters
            .list("AddReplicaRegions")
            .iter()
            .filter_map(|replica| replica["Region"].as_str());
        let regions: Vec<String> = regions.map(str::to_owned).collect();
        for region in &regions {
            self.add_replica(&arn, region);
        }
        self.change(&arn, |secret| {
            secret.rare.primary_region = Some(secret.region().to_owned());
            secret.rare.replicas.extend(regions);
        })?;
        self.replication(&arn)
    }

    /// A replica has the ARN of its primary with another region.
    fn add_replica(&mut self, arn: &Arn, region: &str) {
        let Some(primary) = self.state.secrets.get(arn) else {
            return;
        };
        let mut replica = primary.clone();
        replica.arn = primary.arn.within(region);
        replica.rare.primary_region = Some(primary.region().to_owned());
        replica.rare.replicas.clear();
        replica.rare.running = None;
        self.state.secrets.insert(replica);
    }

    pub(super) fn remove_regions_from_replication(&mut self) -> Answer {
        let secret = self.writable()?;
        let arn = secret.arn.clone();
        for region in self.parameters.texts("RemoveReplicaRegions") {
            self.state.secrets.remove(&arn.within(region));
            self.change(&arn, |secret| secret.rare.replicas.remove(region))?;
        }
        self.replication(&arn)
    }

    /// Makes a replica an independent secret. Called in the region of the replica.
    pub(super) fn stop_replication_to_replica(&mut self) -> Answer {
        let secret = self.secret()?;
        let (arn, region) = (secret.arn.clone(), secret.region().to_owned());
        let primary = secret
            .rare
            .primary_region
            .clone()
            .filter(|_| secret.is_replica());
        let primary =
            primary.ok_or_else(|| ApiError::invalid_request("The secret is not a replica."))?;
        let primary_arn = arn.within(&primary);
        self.change(&arn, |secret| secret.rare.primary_region = None)?;
        if self.state.secrets.contains_key(&primary_arn) {
            self.change(&primary_arn, |secret| secret.rare.replicas.remove(&region))?;
        }
        Ok(json!({"ARN": arn}))
    }

    fn replication(&self, arn: &Arn) -> Answer {
        let secret = self
            .state
            .secrets
            .get(arn)
            .ok_or_else(ApiError::secret_not_found)?;
        Ok(json!({"ARN": arn, "ReplicationStatus": self.replicas(secret)}))
    }

    /// Returns the replication status of the replicas.
    pub(super) fn replicas(&self, secret: &Secret) -> Vec<Value> {
        let quirks = &self.state.quirks;
        let shown =
            secret.last_changed + SignedDuration::from_secs(quirks.replication_delay.into());
        let status = match (quirks.replication_fails, self.now < shown) {
            (true, _) => "Failed",
            (false, true) => "InProgress",
            (false, false) => "InSync",
        };
        let replicas = secret.rare.replicas.iter();
        replicas
            .map(|region| json!({"Region": region, "Status": status}))
            .collect()
    }

    pub(super) fn put_resource_policy(&mut self) -> Answer {
        let secret = self.writable()?;
        let (arn, answer) = (secret.arn.clone(), named(secret));
        let policy = self.parameters.required("ResourcePolicy")?.to_owned();
        self.change(&arn, |secret| secret.rare.resource_policy = Some(policy))?;
        Ok(answer)
    }

    pub(super) fn resource_policy(&mut self) -> Answer {
        let secret = self.secret()?;
        let mut answer = named(secret);
        if let Some(policy) = &secret.rare.resource_policy {
            answer["ResourcePolicy"] = json!(policy);
        }
        Ok(answer)
    }

    pub(super) fn delete_resource_policy(&mut self) -> Answer {
        let secret = self.writable()?;
        let (arn, answer) = (secret.arn.clone(), named(secret));
        self.change(&arn, |secret| secret.rare.resource_policy = None)?;
        Ok(answer)
    }

    pub(super) fn validate_resource_policy(&mut self) -> Answer {
        let policy = self.parameters.required("ResourcePolicy")?;
        let valid = serde_json::from_str::<serde_json::Value>(policy).is_ok();
        Ok(json!({"PolicyValidationPassed": valid, "ValidationErrors": []}))
    }
}

//! The operations of the API: parameters in, JSON or an error response out.

mod administration;
mod entry;
mod filter;
mod labelling;
mod listing;
mod parameters;
mod queueing;
mod rotating;
mod values;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::arn::Arn;
use crate::errors::ApiError;
use crate::model::Secret;
use crate::state::SimulatedAws;
use crate::trace::Cause;

pub(crate) use parameters::Parameters;

/// The target prefix of requests to SQS. All other requests are to Secrets Manager.
pub(crate) const SQS: &str = "AmazonSQS";

type Answer = Result<Value, ApiError>;

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) access_key: String,
    pub(crate) request_id: String,
}

/// One request with the state that it acts on.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a mut SimulatedAws,
    pub(crate) caller: &'a Caller,
    pub(crate) parameters: Parameters<'a>,
    pub(crate) now: Timestamp,
}

impl Call<'_> {
    /// Answers a request to a service, as JSON.
    pub(crate) fn answer(self, service: &str, operation: &str) -> Result<String, ApiError> {
        if service == SQS {
            return self
                .answer_of_queues(operation)
                .map(|answer| answer.to_string());
        }
        match operation {
            // A page is long, so it is written without a tree of values.
            "ListSecrets" => self.list_secrets(),
            _ => self
                .answer_of_secrets(operation)
                .map(|answer| answer.to_string()),
        }
    }

    fn answer_of_queues(mut self, operation: &str) -> Answer {
        match operation {
            "ReceiveMessage" => self.receive_message(),
            "DeleteMessage" => self.delete_message(),
            "DeleteMessageBatch" => self.delete_message_batch(),
            "SendMessage" => self.send_message(),
            "GetQueueAttributes" => self.queue_attributes(),
            other => Err(ApiError::unknown_operation(other)),
        }
    }

    fn answer_of_secrets(mut self, operation: &str) -> Answer {
        match operation {
            "DescribeSecret" => self.describe_secret(),
            "ListSecretVersionIds" => self.list_secret_version_ids(),
            "UpdateSecretVersionStage" => self.update_secret_version_stage(),
            "RotateSecret" => self.rotate_secret(),
            "CancelRotateSecret" => self.cancel_rotate_secret(),
            "CreateSecret" => self.create_secret(),
            "PutSecretValue" => self.put_secret_value(),
            "UpdateSecret" => self.update_secret(),
            "GetSecretValue" => self.get_secret_value(),
            "BatchGetSecretValue" => Ok(self.batch_get_secret_value()),
            "DeleteSecret" => self.delete_secret(),
            "RestoreSecret" => self.restore_secret(),
            "TagResource" => self.tag_resource(),
            "UntagResource" => self.untag_resource(),
            "ReplicateSecretToRegions" => self.replicate_secret_to_regions(),
            "RemoveRegionsFromReplication" => self.remove_regions_from_replication(),
            "StopReplicationToReplica" => self.stop_replication_to_replica(),
            "GetRandomPassword" => Ok(self.random_password()),
            "PutResourcePolicy" => self.put_resource_policy(),
            "GetResourcePolicy" => self.resource_policy(),
            "DeleteResourcePolicy" => self.delete_resource_policy(),
            "ValidateResourcePolicy" => self.validate_resource_policy(),
            other => Err(ApiError::unknown_operation(other)),
        }
    }

    /// Returns the secret that the request names.
    fn secret(&self) -> Result<&Secret, ApiError> {
        let id = self.parameters.required("SecretId")?;
        self.state
            .resolve(id, &self.caller.account, &self.caller.region)
    }

    /// Returns the secret that the request names, if it can be changed.
    fn writable(&self) -> Result<&Secret, ApiError> {
        let secret = self.secret()?;
        if secret.rare.deleted.is_some() {
            return Err(ApiError::marked_for_deletion());
        }
        if secret.is_replica() {
            return Err(ApiError::replica_is_read_only());
        }
        Ok(secret)
    }

    fn change<T>(
        &mut self,
        arn: &Arn,
        change: impl FnOnce(&mut Secret) -> T,
    ) -> Result<T, ApiError> {
        let cause = Cause::Request(self.caller.request_id.clone());
        self.state
            .change(arn, &cause, self.now, change)
            .ok_or_else(ApiError::secret_not_found)
    }
}

fn named(secret: &Secret) -> Value {
    json!({"ARN": secret.arn, "Name": secret.name()})
}

/// Returns epoch seconds with milliseconds, as AWS prints times.
fn seconds(time: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this era fit a double exactly"
    )]
    let milliseconds = time.as_millisecond() as f64;
    milliseconds / 1000.0
}

//! The SQS operations that a reader of events needs.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Answer, Call};
use crate::errors::ApiError;
use crate::queues::{Delivery, Queue, VISIBILITY};

impl Call<'_> {
    fn queue(&mut self) -> Result<&mut Queue, ApiError> {
        let url = self.parameters.required("QueueUrl")?.to_owned();
        self.state
            .queues
            .by_url(&url, &self.caller.region)
            .ok_or_else(ApiError::queue_not_found)
    }

    pub(super) fn receive_message(&mut self) -> Answer {
        let most = self.number("MaxNumberOfMessages", 1)?;
        if !(1..=10).contains(&most) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
                ),
            ));
        }
        let hidden = self.number("VisibilityTimeout", VISIBILITY.as_secs())?;
        let now = self.now;
        let most = usize::try_from(most).unwrap_or(1);
        let received = self
            .queue()?
            .receive(most, SignedDuration::from_secs(hidden), now);
        // Without messages, SQS omits the key.
        if received.is_empty() {
            return Ok(json!({}));
        }
        let messages: Vec<_> = received.iter().map(message).collect();
        Ok(json!({"Messages": messages}))
    }

    pub(super) fn delete_message(&mut self) -> Answer {
        let receipt = self.parameters.required("ReceiptHandle")?.to_owned();
        if self.queue()?.delete(&receipt) {
            return Ok(json!({}));
        }
        Err(ApiError::new(
            "ReceiptHandleIsInvalid",
            "The input receipt handle is invalid.",
        ))
    }

    pub(super) fn delete_message_batch(&mut self) -> Answer {
        let entries = self.parameters.0["Entries"].as_array().cloned();
        let entries = entries.filter(|entries| (1..=10).contains(&entries.len()));
        let Some(entries) = entries else {
            return Err(ApiError::new(
                "AWS.SimpleQueueService.EmptyBatchRequest",
                "There should be one to ten DeleteMessageBatchRequestEntry in the request.",
            ));
        };
        let queue = self.queue()?;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for entry in &entries {
            let receipt = entry["ReceiptHandle"].as_str().unwrap_or_default();
            if queue.delete(receipt) {
                done.push(json!({"Id": entry["Id"]}));
            } else {
                failed.push(json!({"Id": entry["Id"], "SenderFault": true, "Code": "ReceiptHandleIsInvalid"}));
            }
        }
        Ok(json!({"Successful": done, "Failed": failed}))
    }

    pub(super) fn send_message(&mut self) -> Answer {
        let body = self.parameters.required("MessageBody")?.to_owned();
        let now = self.now;
        let id = self.queue()?.send(body.clone(), now);
        Ok(json!({"MessageId": id.to_string(), "MD5OfMessageBody": digest(&body)}))
    }

    pub(super) fn queue_attributes(&mut self) -> Answer {
        let now = self.now;
        let queue = self.queue()?;
        let count = queue.len().to_string();
        let all = json!({
            "ApproximateNumberOfMessages": if queue.has_visible(now) { count.as_str() } else { "0" },
            "VisibilityTimeout": VISIBILITY.as_secs().to_string(),
        });
        Ok(json!({"Attributes": all}))
    }

    /// Returns whether a receive request has to wait for messages.
    pub(crate) fn would_wait(&mut self) -> bool {
        let now = self.now;
        self.queue().is_ok_and(|queue| !queue.has_visible(now))
    }

    fn number(&self, name: &str, otherwise: i64) -> Result<i64, ApiError> {
        let Some(value) = self.parameters.0.get(name) else {
            return Ok(otherwise);
        };
        value.as_i64().ok_or_else(|| {
            ApiError::new("SerializationException", format!("{name} is not a number"))
        })
    }
}

fn message(delivery: &Delivery) -> Value {
    json!({
        "MessageId": delivery.id.to_string(),
        "ReceiptHandle": delivery.receipt,
        "MD5OfBody": digest(&delivery.body),
        "Body": delivery.body,
    })
}

/// Returns the digest of a message. Some SDKs refuse a message whose digest is missing or wrong.
fn digest(body: &str) -> String {
    format!("{:x}", md5::compute(body))
}

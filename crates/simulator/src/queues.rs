//! SQS queues and the `EventBridge` events about secrets that they receive.
//!
//! A queue receives the events of its own account and region, as from a rule on the default bus. In AWS the service
//! events require a trail; the simulator always has one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::labels::{PENDING, PREVIOUS};
use crate::model::{Labels, Secret};

/// The default time after which a received message that is not deleted becomes visible again.
pub(crate) const VISIBILITY: SignedDuration = SignedDuration::from_secs(30);

/// Standard queues by ARN.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues(BTreeMap<String, Queue>);

/// One queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    account: String,
    region: String,
    messages: BTreeMap<u64, Message>,
    sent: u64,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) body: String,
    visible: Timestamp,
    received: u64,
}

/// A delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) receipt: String,
    pub(crate) body: String,
}

impl Queues {
    /// Creates a queue unless it exists, and returns its ARN.
    pub(crate) fn make(&mut self, name: &str, region: &str, account: &str) -> String {
        let arn = format!("arn:aws:sqs:{region}:{account}:{name}");
        self.0.entry(arn.clone()).or_insert_with(|| Queue {
            account: account.to_owned(),
            region: region.to_owned(),
            ..Queue::default()
        });
        arn
    }

    /// Returns the queue of a `QueueUrl` `https://…/<account>/<name>` for a caller in this region.
    pub(crate) fn by_url(&mut self, url: &str, region: &str) -> Option<&mut Queue> {
        let mut parts = url.rsplit('/');
        let (name, account) = (parts.next()?, parts.next()?);
        self.by_arn(&format!("arn:aws:sqs:{region}:{account}:{name}"))
    }

    pub(crate) fn by_arn(&mut self, arn: &str) -> Option<&mut Queue> {
        self.0.get_mut(arn)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends an event to the queues of the secret's account and region.
    pub(crate) fn announce(&mut self, secret: &Secret, event: &Value, at: Timestamp) {
        let own = |queue: &&mut Queue| {
            queue.account == secret.arn.account() && queue.region == secret.region()
        };
        for queue in self.0.values_mut().filter(own) {
            queue.send(event.to_string(), at);
        }
    }
}

impl Queue {
    /// Adds a message and returns its number.
    pub(crate) fn send(&mut self, body: String, at: Timestamp) -> u64 {
        self.sent += 1;
        let message = Message {
            body,
            visible: at,
            received: 0,
        };
        self.messages.insert(self.sent, message);
        self.sent
    }

    /// Returns whether a message can be received now.
    pub(crate) fn has_visible(&self, now: Timestamp) -> bool {
        self.messages.values().any(|message| message.visible <= now)
    }

    /// Returns the number of messages, including received ones.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns the bodies that are JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        let parsed = |message: &Message| serde_json::from_str(&message.body).ok();
        self.messages.values().filter_map(parsed).collect()
    }

    /// Delivers at most `most` messages and hides them for the time `hidden`.
    pub(crate) fn receive(
        &mut self,
        most: usize,
        hidden: SignedDuration,
        now: Timestamp,
    ) -> Vec<Delivery> {
        let visible = self
            .messages
            .iter_mut()
            .filter(|(_, message)| message.visible <= now);
        let deliver = |(id, message): (&u64, &mut Message)| {
            message.visible = now + hidden;
            message.received += 1;
            Delivery {
                id: *id,
                receipt: format!("{id}/{}", message.received),
                body: message.body.clone(),
            }
        };
        visible.take(most).map(deliver).collect()
    }

    /// Deletes a message by any of its receipts. Returns whether the receipt is valid.
    pub(crate) fn delete(&mut self, receipt: &str) -> bool {
        let id = receipt.split('/').next().and_then(|id| id.parse().ok());
        if let Some(id) = id {
            self.messages.remove(&id);
        }
        id.is_some()
    }
}

/// Returns the event of a rotation that began, succeeded or failed.
pub(crate) fn rotation(
    secret: &Secret,
    token: &str,
    name: &str,
    error: Option<String>,
    at: Timestamp,
) -> Value {
    let mut detail = json!({
        "eventVersion": "1.08",
        "userIdentity": {"accountId": secret.arn.account(), "invokedBy": "secretsmanager.amazonaws.com"},
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": name,
        "requestParameters": null,
        "responseElements": null,
        "additionalEventData": {"SecretId": secret.arn},
        "requestID": format!("Rotation-{}-{token}", secret.arn),
        "eventType": "AwsServiceEvent",
        "managementEvent": true,
        "eventCategory": "Management",
    });
    if let Some(error) = error {
        detail["errorMessage"] = json!(error);
    }
    json!({
        "version": "0",
        "id": format!("{name}-{token}-{}", at.as_millisecond()),
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.secretsmanager",
        "account": secret.arn.account(),
        "time": at.to_string(),
        "region": secret.region(),
        "resources": [],
        "detail": detail,
    })
}

/// Returns the native events about labels that moved to a version. AWSPENDING and AWSPREVIOUS have no events.
pub(crate) fn labels(
    secret: &Secret,
    before: &Labels,
    after: &Labels,
    at: Timestamp,
) -> Vec<Value> {
    let held = |labels: &Labels, version: &str, label: &String| {
        labels
            .get(version)
            .is_some_and(|there| there.contains(label))
    };
    let moved = after.iter().flat_map(|(version, labels)| {
        labels
            .iter()
            .filter(|label| ![PENDING, PREVIOUS].contains(&label.as_str()))
            .filter(|label| !held(before, version, label))
            .map(move |label| (version, label))
    });
    let event = |(version, label): (&String, &String)| {
        json!({
            "version": "0",
            "id": format!("{label}-{version}-{}", at.as_millisecond()),
            "detail-type": "Secret Label Updated",
            "source": "aws.secretsmanager",
            "account": secret.arn.account(),
            "time": at.to_string(),
            "region": secret.region(),
            "resources": [secret.arn],
            "detail": {"name": secret.name(), "labelUpdated": label, "versionId": version},
        })
    };
    moved.map(event).collect()
}

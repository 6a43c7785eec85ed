//! The trace: requests and changes, without values.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::model::Labels;

/// Parameters that are never recorded.
const VALUES: [&str; 3] = ["SecretString", "SecretBinary", "ResourcePolicy"];

/// Requests and changes in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) entries: Vec<Entry>,
}

/// The cause of a change of labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A request, by its id.
    Request(String),
    /// The rotation engine.
    Rotation,
}

/// One line of the trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A request and its answer.
    Request(Request),
    /// Labels that moved.
    Change {
        /// AWS time.
        time: Timestamp,
        /// The cause of the change.
        cause: Cause,
        /// The name of the secret.
        secret: String,
        /// Labels before.
        before: Labels,
        /// Labels after.
        after: Labels,
    },
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// The AWS time at which the request was answered.
    pub time: Timestamp,
    /// The access key that signed it.
    pub access_key: String,
    /// The region for which it was signed.
    pub region: String,
    /// The operation.
    pub operation: String,
    /// The `SecretId`, if it has one.
    pub secret: Option<String>,
    /// Its parameters, without values.
    pub parameters: Value,
    /// `OK` or the error code. Absent while the request hangs before it is applied, or if it was lost.
    pub code: Option<String>,
    /// AWS's request id.
    pub request_id: String,
}

impl Request {
    /// Returns whether the request changes a secret.
    pub fn is_write(&self) -> bool {
        ![
            "ListSecrets",
            "DescribeSecret",
            "ListSecretVersionIds",
            "GetSecretValue",
            "BatchGetSecretValue",
            "GetRandomPassword",
            "GetResourcePolicy",
            "ValidateResourcePolicy",
            "ReceiveMessage",
            "DeleteMessage",
            "DeleteMessageBatch",
            "GetQueueAttributes",
            "SendMessage",
        ]
        .contains(&self.operation.as_str())
    }
}

impl Trace {
    pub(crate) fn record_request(&mut self, request: Request) {
        self.entries.push(Entry::Request(request));
    }

    pub(crate) fn record_answer(&mut self, request_id: &str, at: Timestamp, answer: &str) {
        let asked = self.entries.iter_mut().rev().find_map(|entry| match entry {
            Entry::Request(request) if request.request_id == request_id => Some(request),
            Entry::Request(_) | Entry::Change { .. } => None,
        });
        if let Some(request) = asked {
            request.time = at;
            request.code = Some(answer.to_owned());
        }
    }

    pub(crate) fn record_change(
        &mut self,
        time: Timestamp,
        cause: &Cause,
        secret: &str,
        before: Labels,
        after: Labels,
    ) {
        self.entries.push(Entry::Change {
            time,
            cause: cause.clone(),
            secret: secret.to_owned(),
            before,
            after,
        });
    }
}

pub(crate) fn without_values(parameters: &Value) -> Value {
    let mut parameters = parameters.clone();
    if let Some(map) = parameters.as_object_mut() {
        for name in VALUES {
            map.remove(name);
        }
    }
    parameters
}

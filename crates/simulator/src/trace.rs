//! The trace: requests and changes, without values.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::model::Labels;

/// Parameters that are never recorded.
const VALUES: [&str; 3] = ["SecretString", "SecretBinary", "ResourcePolicy"];

/// Requests and changes in order, and the number of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    entries: VecDeque<Entry>,
    /// The number of entries that were dropped or cleared.
    gone: usize,
    /// The maximum number of entries. Unlimited if absent.
    limit: Option<usize>,
    calls: BTreeMap<String, usize>,
}

/// The place of a request in the trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(usize);

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
    /// Creates a trace that drops its oldest entries when it has more than `limit`.
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Returns the entries since the trace was last cleared, without those beyond its limit.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Returns the number of requests for each operation since the trace was last cleared.
    pub(crate) fn calls(&self) -> &BTreeMap<String, usize> {
        &self.calls
    }

    pub(crate) fn clear(&mut self) {
        self.gone += self.entries.len();
        self.entries.clear();
        self.calls.clear();
    }

    /// Counts a request. Records it unless the trace keeps no entries.
    pub(crate) fn record_request(
        &mut self,
        operation: &str,
        request: impl FnOnce() -> Request,
    ) -> Place {
        match self.calls.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                self.calls.insert(operation.to_owned(), 1);
            }
        }
        let place = Place(self.gone + self.entries.len());
        if self.limit != Some(0) {
            self.push(Entry::Request(request()));
        }
        place
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        if self.limit.is_some_and(|limit| self.entries.len() > limit) {
            self.entries.pop_front();
            self.gone += 1;
        }
    }

    /// Records the answer of a request that is still in the trace.
    pub(crate) fn record_answer(&mut self, place: Place, at: Timestamp, answer: &str) {
        let index = place.0.checked_sub(self.gone);
        let asked = index.and_then(|index| self.entries.get_mut(index));
        if let Some(Entry::Request(request)) = asked {
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
        if self.limit == Some(0) {
            return;
        }
        self.push(Entry::Change {
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

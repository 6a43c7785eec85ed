//! Manual operations.

use std::collections::BTreeMap;

use fixtures::resource;
use secret_rotation_simulator::SecretSnapshot;
use serde_json::{Value, json};

use crate::Story;
use crate::story::TEAM;

/// A version id that no secret has.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// A manual operation for policy `policy`.
#[derive(Clone, Debug)]
pub struct ByHand {
    name: String,
    policy: String,
    spec: BTreeMap<String, Value>,
}

impl ByHand {
    /// Returns an operation with this name, action and secret.
    pub fn new(name: &str, policy: &str, action: &str, secret: &str) -> Self {
        let spec = BTreeMap::from([
            ("action".to_owned(), json!(action)),
            (
                "secret".to_owned(),
                json!({"name": secret, "region": "eu-west-1"}),
            ),
            ("reason".to_owned(), json!("a story")),
            ("confirmAfter".to_owned(), json!("30s")),
        ]);
        Self {
            name: name.to_owned(),
            policy: policy.to_owned(),
            spec,
        }
    }

    /// Adds an expected fact, such as `currentVersionId`.
    #[must_use]
    pub fn expecting(mut self, expect: &Value) -> Self {
        self.spec.insert("expect".to_owned(), expect.clone());
        self
    }

    /// Sets these fields of what the operation expects, such as `currentVersionId`, to what AWS holds now.
    #[must_use]
    pub fn expecting_what_is(self, story: &Story, fields: &[&str]) -> Self {
        let snapshot = story.inspect(self.spec["secret"]["name"].as_str().expect("a name"));
        let held = fields.iter().map(|field| {
            let label = match *field {
                "currentVersionId" => "AWSCURRENT",
                "pendingVersionId" => "AWSPENDING",
                "previousVersionId" => "AWSPREVIOUS",
                other => panic!("no label stands for {other}"),
            };
            ((*field).to_owned(), json!(holder(&snapshot, label)))
        });
        let expect = held.collect();
        self.expecting(&expect)
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, field: &str, value: &Value) -> Self {
        self.spec.insert(field.to_owned(), value.clone());
        self
    }

    /// Returns the object to apply.
    pub fn object(&self) -> Value {
        let mut spec = json!(self.spec);
        spec["policyRef"] = json!({"name": self.policy});
        resource("SecretRotationOperation", TEAM, &self.name, &spec)
    }
}

/// Returns the version that holds a label.
pub fn holder(snapshot: &SecretSnapshot, label: &str) -> Option<String> {
    let mut versions = snapshot.labels.iter();
    versions
        .find(|(_, labels)| labels.contains(label))
        .map(|(version, _)| version.clone())
}

/// Returns the version that carries a pin.
pub fn pinned(snapshot: &SecretSnapshot) -> Option<String> {
    let mut versions = snapshot.labels.iter();
    versions
        .find(|(_, labels)| labels.iter().any(|label| label.starts_with("srp-pin-")))
        .map(|(version, _)| version.clone())
}

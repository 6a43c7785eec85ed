//! The content of an etcd, read and reset through its JSON gateway.
//!
//! This is not a backup: only keys and the revisions of their last writes are read, never values.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::process;

/// Everything that an API server stores lies below this key.
const ROOT: &str = "/registry/";

/// The first key behind those below [`ROOT`].
const END: &str = "/registry0";

/// Keys that an API server writes for itself, independent of its clients.
const BOOKKEEPING: [&str; 8] = [
    "/registry/leases/kube-system/apiserver-",
    "/registry/masterleases/",
    "/registry/peerserverleases/",
    "/registry/endpointslices/default/kubernetes",
    "/registry/services/endpoints/default/kubernetes",
    "/registry/configmaps/kube-system/kube-apiserver-legacy-service-account-token-tracking",
    "/registry/apiregistration.k8s.io/apiservices/",
    "/registry/ranges/",
];

/// The maximum number of changes in one transaction of etcd.
const AT_ONCE: usize = 100;

/// Keys and the revisions of their last writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content(BTreeMap<String, u64>);

impl Content {
    /// Reads the keys of the etcd on this port.
    ///
    /// # Errors
    ///
    /// Returns an error if etcd does not answer.
    pub(crate) fn read(port: u16) -> Result<Self> {
        let range = json!({
            "key": STANDARD.encode(ROOT),
            "range_end": STANDARD.encode(END),
            "keys_only": true,
        });
        let answer = ask(port, "/v3/kv/range", &range)?;
        let pairs = answer["kvs"].as_array().into_iter().flatten();
        pairs.map(pair).collect::<Result<_>>().map(Self)
    }

    /// Deletes every key that this content does not have.
    ///
    /// # Errors
    ///
    /// Returns an error if a key of this content was written or deleted since.
    pub(crate) fn restore(&self, port: u16) -> Result<()> {
        let Self(now) = Self::read(port)?;
        let Self(before) = self;
        for (key, revision) in before.iter().filter(|(key, _)| !is_bookkeeping(key)) {
            ensure!(now.get(key) == Some(revision), "{key} was changed");
        }
        let added = now.into_keys();
        let added: Vec<_> = added
            .filter(|key| !before.contains_key(key) && !is_bookkeeping(key))
            .collect();
        added
            .chunks(AT_ONCE)
            .try_for_each(|keys| delete(port, keys))
    }
}

fn is_bookkeeping(key: &str) -> bool {
    BOOKKEEPING.iter().any(|prefix| key.starts_with(prefix))
}

fn pair(pair: &Value) -> Result<(String, u64)> {
    let key = pair["key"].as_str().context("a pair has a key")?;
    let key = String::from_utf8(STANDARD.decode(key)?)?;
    // The gateway writes 64-bit numbers as strings.
    let revision = pair["mod_revision"]
        .as_str()
        .context("a pair has a revision")?;
    Ok((key, revision.parse()?))
}

fn delete(port: u16, keys: &[String]) -> Result<()> {
    let delete = |key: &String| json!({"request_delete_range": {"key": STANDARD.encode(key)}});
    let changes: Vec<_> = keys.iter().map(delete).collect();
    ask(port, "/v3/kv/txn", &json!({"success": changes})).map(drop)
}

fn ask(port: u16, path: &str, request: &Value) -> Result<Value> {
    let (status, body) = process::post(port, path, &request.to_string())?;
    if status != 200 {
        bail!("etcd answers {status}: {body}");
    }
    serde_json::from_str(&body).context("etcd answers in JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_writes_about_itself_is_no_change() {
        for (key, expected) in [
            ("/registry/leases/kube-system/apiserver-abc", true),
            (
                "/registry/leases/secret-rotation-system/secret-rotation-controller",
                false,
            ),
            ("/registry/namespaces/default", false),
        ] {
            assert_eq!(is_bookkeeping(key), expected, "{key}");
        }
    }
}

//! The content of an etcd, through its JSON gateway: what is there, and how it becomes again what it was.
//!
//! Not a backup: values are neither read nor kept, only keys and the revisions at which they were written.

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

/// What an API server writes about itself, whoever uses it.
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

/// As many changes as etcd takes at once.
const AT_ONCE: usize = 100;

/// Keys and the revisions at which they were written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content(BTreeMap<String, u64>);

impl Content {
    /// Reads what the etcd on this port holds.
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

    /// Deletes what was not there before. Fails if something that was there has changed or is gone.
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

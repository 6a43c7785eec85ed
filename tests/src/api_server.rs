//! A client of the API server with the permissions of the administrator. It is faster than `kubectl`, because stories read
//! several times per second.

use std::path::Path;
use std::sync::OnceLock;

use futures::future::join_all;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Paths of the resources that stories read, by their names in `kubectl get`.
const PATHS: [(&str, &str, Scope); 4] = [
    (
        "srp",
        "secretrotation.dev/v1alpha1/{}secretrotationpolicies",
        Scope::Namespaced,
    ),
    (
        "sro",
        "secretrotation.dev/v1alpha1/{}secretrotationoperations",
        Scope::Namespaced,
    ),
    (
        "awsap",
        "secretrotation.dev/v1alpha1/{}awsaccessprofiles",
        Scope::Cluster,
    ),
    (
        "events.events.k8s.io",
        "events.k8s.io/v1/{}events",
        Scope::Namespaced,
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Namespaced,
    Cluster,
}

/// A client with the permissions of the administrator.
pub struct ApiServer(Client);

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Creates a client for the API server of a kubeconfig. It sends no request yet.
    pub fn of(kubeconfig: &Path) -> Self {
        let config = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let client = runtime().block_on(async {
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(config, &options).await;
            Client::try_from(config.expect("a complete kubeconfig"))
        });
        Self(client.expect("a client"))
    }

    /// Reads an object; null if it does not exist. Panics if stories do not read the resource.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let path = format!("{}/{name}", path(kind, Some(namespace)));
        match self.ask(&path) {
            Err(Error::Api(status)) if status.code == 404 => Value::Null,
            answer => answer.unwrap_or_else(|error| panic!("{path}: {error}")),
        }
    }

    /// Reads all objects of a resource in all namespaces; `None` if stories do not read the resource.
    pub fn list(&self, kind: &str) -> Option<Vec<Value>> {
        PATHS.iter().find(|(name, ..)| *name == kind)?;
        let path = path(kind, None);
        let list = self.ask(&path);
        let mut list = list.unwrap_or_else(|error| panic!("{path}: {error}"));
        let items = list["items"].as_array_mut();
        Some(items.map(std::mem::take).unwrap_or_default())
    }

    /// Annotates objects of a resource, all at the same time. It skips an object that no longer exists.
    pub fn annotate(&self, kind: &str, objects: &[Value], annotation: (&str, &str)) {
        let (key, value) = annotation;
        let change = serde_json::json!({"metadata": {"annotations": {key: value}}}).to_string();
        let patches = objects.iter().map(|object| {
            let metadata = &object["metadata"];
            let name = metadata["name"].as_str().expect("an object has a name");
            let path = format!("{}/{name}", path(kind, metadata["namespace"].as_str()));
            let request = http::Request::patch(&path)
                .header("Content-Type", "application/merge-patch+json")
                .body(change.clone().into_bytes());
            let answer = self.0.request::<Value>(request.expect("a request"));
            async { (path, answer.await) }
        });
        for (path, answer) in runtime().block_on(join_all(patches)) {
            match answer {
                Err(Error::Api(status)) if status.code == 404 => {}
                answer => drop(answer.unwrap_or_else(|error| panic!("{path}: {error}"))),
            }
        }
    }

    /// Sends a request, and repeats it once if the connection broke: the API server may have been restarted.
    fn ask(&self, path: &str) -> Result<Value, Error> {
        let ask = || {
            let request = http::Request::get(path).body(Vec::new());
            runtime().block_on(self.0.request(request.expect("a request")))
        };
        match ask() {
            Err(Error::HyperError(_) | Error::Service(_)) => ask(),
            answer => answer,
        }
    }
}

fn path(kind: &str, namespace: Option<&str>) -> String {
    let known = PATHS.iter().find(|(name, ..)| *name == kind);
    let (_, path, scope) = known.unwrap_or_else(|| panic!("no path is known for {kind}"));
    let below = match (namespace, scope) {
        (Some(namespace), Scope::Namespaced) => format!("namespaces/{namespace}/"),
        (None, _) | (_, Scope::Cluster) => String::new(),
    };
    format!("/apis/{}", path.replace("{}", &below))
}

/// Runs a future to its end, because stories are synchronous.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime starts"))
}

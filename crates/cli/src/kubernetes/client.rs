//! A client of the API server, with the requests that commands make.

use std::fmt::Debug;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::CommandError;

use super::clock::ServerClock;
use super::connection;
use super::errors::{self, ApiRequest, Server};
use super::events;
use super::kind::Kind;
use super::kubeconfig;
use super::options::ClusterOptions;
use super::suggest::similar_names;

/// The field manager of writes, in `metadata.managedFields`.
const FIELD_MANAGER: &str = "kubectl-secret_rotation";

/// A client of one API server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    clock: Arc<ServerClock>,
    server: Arc<Server>,
    namespace: String,
}

impl Cluster {
    /// Finds the API server by flags, `KUBECONFIG`, `~/.kube/config` or as a pod, as kubectl does. Sends no request.
    pub(crate) async fn connect(options: &ClusterOptions) -> Result<Self, CommandError> {
        let resolved = kubeconfig::find(options).await?;
        let config = resolved.config;
        let namespace = options
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = Server {
            url: config.cluster_url.to_string(),
            context: resolved.context,
            proxy: resolved.proxy.as_ref().map(ToString::to_string),
        };
        let clock = Arc::new(ServerClock::default());
        let client = connection::client(&config, resolved.proxy.as_ref(), &clock)
            .map_err(|error| server.unusable(&error))?;
        Ok(Self {
            client,
            clock,
            server: Arc::new(server),
            namespace,
        })
    }

    /// Returns the client, for other resources.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the current namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the namespace to read; `None` means all namespaces.
    pub(crate) fn scope(&self, all_namespaces: bool) -> Option<String> {
        (!all_namespaces).then(|| self.namespace.clone())
    }

    /// Returns the same cluster with another current namespace.
    pub(crate) fn within(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    /// Returns the name of the context, or the address of the API server.
    pub(crate) fn name(&self) -> &str {
        self.server.name()
    }

    /// Returns the API server's time: that of its last response, advanced since. Ages are measured by it, not by the
    /// local clock.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.clock.now()
    }

    /// Returns the API of a resource in one namespace, or in all.
    pub(crate) fn api<K: Kind>(&self, namespace: Option<&str>) -> Api<K> {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Lists all objects of a resource in one namespace, or in all.
    pub(crate) async fn list<K: Kind>(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<K>, CommandError> {
        self.list_where(namespace, None).await
    }

    /// Lists the objects that a field selector matches.
    pub(crate) async fn list_where<K: Kind>(
        &self,
        namespace: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<K>, CommandError> {
        let parameters = ListParams {
            field_selector: fields.map(str::to_owned),
            ..ListParams::default()
        };
        let list = self.api::<K>(namespace).list(&parameters).await;
        let request = ApiRequest::on::<K>("list", namespace);
        Ok(list.map_err(|error| self.failed(&request, &error))?.items)
    }

    /// Returns one object; `None` if it does not exist.
    pub(crate) async fn find<K: Kind>(&self, name: &str) -> Result<Option<K>, CommandError> {
        let found = self.api::<K>(Some(&self.namespace)).get(name).await;
        match found {
            Ok(object) => Ok(Some(object)),
            Err(error) if errors::is_absent(&error) => Ok(None),
            Err(error) => {
                let request = ApiRequest::on::<K>("get", Some(&self.namespace)).named(name);
                Err(self.failed(&request, &error))
            }
        }
    }

    /// Returns one object.
    ///
    /// # Errors
    ///
    /// Returns an error with similar names if the object does not exist.
    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Result<K, CommandError> {
        match self.find::<K>(name).await? {
            Some(object) => Ok(object),
            None => Err(self.missing::<K>(name).await),
        }
    }

    /// Returns the error that an object does not exist, with similar names.
    pub(crate) async fn missing<K: Kind>(&self, name: &str) -> CommandError {
        let existing = self.list::<K>(Some(&self.namespace)).await;
        let names: Vec<String> = existing
            .unwrap_or_default()
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        let what = format!(
            "no {} {name} exists in namespace {}",
            K::NOUN,
            self.namespace
        );
        CommandError::new(what).with_hint(similar_names(name, &names).map_or_else(
            || {
                let kind = K::plural(&());
                format!("it has no {kind}; select another namespace with -n")
            },
            |names| format!("existing names: {names}"),
        ))
    }

    /// Changes an object by a JSON merge patch.
    pub(crate) async fn patch<K: Kind>(
        &self,
        name: &str,
        change: &Value,
    ) -> Result<K, CommandError> {
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api::<K>(Some(&self.namespace));
        let patched = api.patch(name, &parameters, &Patch::Merge(change)).await;
        match patched {
            Ok(object) => Ok(object),
            Err(error) if errors::is_absent(&error) => Err(self.missing::<K>(name).await),
            Err(error) => {
                let request = ApiRequest::on::<K>("patch", Some(&self.namespace)).named(name);
                Err(self.failed(&request, &error))
            }
        }
    }

    /// Creates an object, or with `dry_run` only validates it; `None` if the name exists already.
    pub(crate) async fn create<K: Kind>(
        &self,
        object: &K,
        dry_run: bool,
    ) -> Result<Option<K>, CommandError> {
        let parameters = PostParams {
            dry_run,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        let api = self.api::<K>(Some(&self.namespace));
        match api.create(&parameters, object).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(error) => {
                let request = ApiRequest::on::<K>("create", Some(&self.namespace));
                Err(self.failed(&request, &error))
            }
        }
    }

    /// Returns the user name that the API server reports.
    pub(crate) async fn whoami(&self) -> Result<String, CommandError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = api
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .map_err(|error| {
                let request = ApiRequest::to("create", "selfsubjectreviews.authentication.k8s.io");
                self.failed(&request, &error)
            })?;
        let user = review.status.and_then(|status| status.user_info);
        user.and_then(|user| user.username).ok_or_else(|| {
            CommandError::new("the API server does not report your user name")
                .with_hint("check with `kubectl auth whoami`")
        })
    }

    /// Returns the events of an object, oldest first.
    pub(crate) async fn events(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
    ) -> Result<Vec<Event>, CommandError> {
        let about = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default().fields(&about)).await;
        let request = ApiRequest::to("list", "events").within(Some(namespace));
        let mut events = list.map_err(|error| self.failed(&request, &error))?.items;
        events.sort_by_key(events::time);
        Ok(events)
    }

    /// Checks that the API server responds, with a cheap request. This also updates its time.
    pub(crate) async fn ping(&self) -> Result<(), CommandError> {
        let answer = self.client.apiserver_version().await;
        let request = ApiRequest::to("get", "/version");
        answer
            .map(drop)
            .map_err(|error| self.failed(&request, &error))
    }

    /// Explains the error of a request.
    pub(crate) fn failed(&self, request: &ApiRequest, error: &kube::Error) -> CommandError {
        self.server.failure(request, error)
    }
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

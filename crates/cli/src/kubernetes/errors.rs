//! Errors of requests to the API server as messages with hints.

use std::error::Error;

use kube::Resource as _;
use secret_rotation_api::GROUP;
use secret_rotation_api::operation::SecretRotationOperation;

use super::kind::Kind;
use crate::CommandError;

/// The API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its address.
    pub(crate) url: String,
    /// The context that names it; `None` as a pod.
    pub(crate) context: Option<String>,
    /// The proxy to it, if there is one.
    pub(crate) proxy: Option<String>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiRequest {
    verb: &'static str,
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl ApiRequest {
    /// Returns a request about a custom resource, in one namespace or in all.
    pub(crate) fn on<K: Kind>(verb: &'static str, namespace: Option<&str>) -> Self {
        Self::to(verb, format!("{}.{GROUP}", K::plural(&()))).within(namespace)
    }

    /// Returns a request about a resource, named as for `kubectl auth can-i`.
    pub(crate) fn to(verb: &'static str, resource: impl Into<String>) -> Self {
        Self {
            verb,
            resource: resource.into(),
            namespace: None,
            name: None,
        }
    }

    /// Sets the namespace.
    pub(crate) fn within(self, namespace: Option<&str>) -> Self {
        Self {
            namespace: namespace.map(str::to_owned),
            ..self
        }
    }

    /// Sets the object.
    pub(crate) fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    /// Describes it, such as `list secretrotationpolicies.secretrotation.dev in namespace team-payments`.
    fn sentence(&self) -> String {
        let name = self
            .name
            .as_deref()
            .map_or_else(String::new, |name| format!(" {name}"));
        let place = match &self.namespace {
            Some(namespace) => format!(" in namespace {namespace}"),
            None if self.is_ours() => " in all namespaces".to_owned(),
            None => String::new(),
        };
        format!("{} {}{name}{place}", self.verb, self.resource)
    }

    fn is_ours(&self) -> bool {
        self.resource.ends_with(GROUP)
    }

    fn can_i(&self) -> String {
        let place = match &self.namespace {
            Some(namespace) => format!(" -n {namespace}"),
            None if self.is_ours() => " -A".to_owned(),
            None => String::new(),
        };
        format!("kubectl auth can-i {} {}{place}", self.verb, self.resource)
    }
}

impl Server {
    /// Returns the name of the context, or the address.
    pub(crate) fn name(&self) -> &str {
        self.context.as_deref().unwrap_or(&self.url)
    }

    /// Returns the error that no client can be made from the configuration.
    pub(super) fn unusable(&self, error: &kube::Error) -> CommandError {
        CommandError::new(format!(
            "cannot prepare a connection to {}: {}",
            self.described(),
            cause(error)
        ))
        .with_hint("check with `kubectl config view --minify`")
    }

    /// Explains the error of a request.
    pub(super) fn failure(&self, request: &ApiRequest, error: &kube::Error) -> CommandError {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "an enum of kube, of which a few variants have a remedy of their own"
        )]
        match error {
            kube::Error::Api(status) => self.refused(request, status),
            kube::Error::Auth(error) => CommandError::new(format!(
                "cannot obtain credentials for {}: {}",
                self.described(),
                cause(error)
            ))
            .with_hint("log in again; check with `kubectl auth whoami`"),
            kube::Error::SerdeError(error) => CommandError::new(format!(
                "cannot parse the response to {}: {error}",
                request.sentence()
            ))
            .with_hint("check that this plugin and the CRDs have the same version"),
            other => self.unreachable(other),
        }
    }

    fn unreachable(&self, error: &kube::Error) -> CommandError {
        let why = cause(error);
        let why = if why == "request timed out" {
            "no response in time".to_owned()
        } else {
            why
        };
        let described = self.described();
        match &self.proxy {
            Some(proxy) => CommandError::new(format!(
                "{described} cannot be reached through {proxy}: {why}"
            ))
            .with_hint(
                "check that the proxy is running and allows connections to the API server; NO_PROXY exempts hosts from the proxy variables",
            ),
            None => CommandError::new(format!("{described} cannot be reached: {why}")).with_hint(
                "check with `kubectl cluster-info` that the cluster is running, the VPN is connected and the context is correct",
            ),
        }
    }

    fn refused(&self, request: &ApiRequest, status: &kube::core::Status) -> CommandError {
        match status.code {
            401 => CommandError::new(format!(
                "{} does not accept your credentials",
                self.described()
            ))
            .with_hint("log in again; check with `kubectl auth whoami`"),
            403 if is_by_admission(status) => denied(status),
            403 => CommandError::new(format!(
                "you do not have permission to {}: {}",
                request.sentence(),
                status.message
            ))
            .with_hint(format!(
                "ask an admin for it; `{}` shows whether you have it",
                request.can_i()
            )),
            404 => self.absent(request, status),
            _ => CommandError::new(format!(
                "the API server refused to {}: {}",
                request.sentence(),
                status.message
            )),
        }
    }

    /// Explains a 404: a resource, a namespace or an object does not exist.
    fn absent(&self, request: &ApiRequest, status: &kube::core::Status) -> CommandError {
        let details = status.details.as_ref();
        let named = details.filter(|details| !details.name.is_empty());
        match named {
            Some(details) if details.kind == "namespaces" => {
                CommandError::new(format!("namespace {} does not exist", details.name))
                    .with_hint("select another with -n; `kubectl get namespaces` lists them")
            }
            Some(_) => CommandError::new(status.message.clone()),
            None if request.is_ours() => CommandError::new(format!(
                "{} does not know {}: the CRDs are not installed",
                self.described(),
                request.resource
            ))
            .with_hint(
                "install them with `kubectl apply --server-side -f deploy/crds` or the Helm chart, or select another cluster with --context",
            ),
            None => CommandError::new(format!(
                "the API server does not know {}",
                request.resource
            )),
        }
    }

    fn described(&self) -> String {
        match &self.context {
            Some(context) => format!("the API server {} of context {context}", self.url),
            None => format!("the API server {}", self.url),
        }
    }
}

/// Returns whether only the object does not exist, while its resource and its namespace do.
pub(super) fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404
        && status.details.as_ref().is_some_and(|details| !details.name.is_empty() && details.kind != "namespaces"))
}

fn is_by_admission(status: &kube::core::Status) -> bool {
    status.message.contains("ValidatingAdmissionPolicy")
}

/// Returns the message of an admission policy, without the names of the policy and its binding.
fn denied(status: &kube::core::Status) -> CommandError {
    let message = status.message.split_once("denied request: ");
    let message = message.map_or(status.message.as_str(), |(_, words)| words);
    let failure = CommandError::new(format!("the API server refused the request: {message}"));
    if message.contains("verb approve") {
        let plural = SecretRotationOperation::plural(&());
        return failure.with_hint(format!(
            "`kubectl auth can-i approve {plural}.{GROUP}` shows whether you may; ClusterRole secret-rotation-approver grants it"
        ));
    }
    failure
}

/// Returns the innermost cause of an error, which is the most specific.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use secret_rotation_api::policy::SecretRotationPolicy;

    use super::*;

    fn server() -> Server {
        Server {
            url: "https://127.0.0.1:6443/".to_owned(),
            context: Some("prod".to_owned()),
            proxy: None,
        }
    }

    fn explained(request: &ApiRequest, status: Status) -> String {
        server()
            .failure(request, &kube::Error::Api(status.boxed()))
            .to_string()
    }

    fn listing() -> ApiRequest {
        ApiRequest::on::<SecretRotationPolicy>("list", Some("team"))
    }

    #[test]
    fn a_missing_permission_is_reported_with_verb_resource_and_namespace() {
        let status = Status::failure("User \"eve\" cannot list it", "Forbidden").with_code(403);
        assert_eq!(
            explained(&listing(), status.clone()),
            "error: you do not have permission to list secretrotationpolicies.secretrotation.dev in namespace team: User \"eve\" cannot list it\n\
             hint: ask an admin for it; `kubectl auth can-i list secretrotationpolicies.secretrotation.dev -n team` shows whether you have it"
        );
        let everywhere = ApiRequest::on::<SecretRotationPolicy>("list", None);
        assert!(explained(&everywhere, status).contains("in all namespaces"));
    }

    #[test]
    fn a_missing_crd_and_a_missing_object_have_different_messages() {
        let kind = Status::failure("404 page not found", "NotFound").with_code(404);
        assert!(
            explained(&listing(), kind).contains("the CRDs are not installed\nhint: install them with `kubectl apply --server-side -f deploy/crds`")
        );
        let details = serde_json::json!({"name": "team", "kind": "namespaces"});
        let details = serde_json::from_value(details).expect("details");
        let namespace = Status::failure("namespaces \"team\" not found", "NotFound")
            .with_code(404)
            .with_details(details);
        assert!(
            explained(&listing(), namespace).starts_with("error: namespace team does not exist\n")
        );
    }

    #[test]
    fn the_message_of_an_admission_policy_is_shown() {
        let message = "secretrotationoperations \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: user eve may not decide about operations; verb approve on secretrotationoperations is required";
        let status = Status::failure(message, "Forbidden").with_code(403);
        assert_eq!(
            explained(&listing(), status),
            "error: the API server refused the request: user eve may not decide about operations; verb approve on secretrotationoperations is required\n\
             hint: `kubectl auth can-i approve secretrotationoperations.secretrotation.dev` shows whether you may; ClusterRole secret-rotation-approver grants it"
        );
    }

    #[test]
    fn rejected_credentials_have_a_hint_to_log_in() {
        let status = Status::failure("Unauthorized", "Unauthorized").with_code(401);
        assert_eq!(
            explained(&listing(), status),
            "error: the API server https://127.0.0.1:6443/ of context prod does not accept your credentials\n\
             hint: log in again; check with `kubectl auth whoami`"
        );
    }
}

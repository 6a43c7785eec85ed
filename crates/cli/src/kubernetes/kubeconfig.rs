//! The cluster configuration: from `--kubeconfig`, `KUBECONFIG`, `~/.kube/config`, or as a pod, in the order of
//! kubectl.

use std::env;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::errors::cause;
use super::options::ClusterOptions;
use super::suggest::similar_names;
use crate::CommandError;
use crate::proxy::Proxy;

/// The variable that lists kubeconfig files.
const VARIABLE: &str = "KUBECONFIG";

/// The configuration that was found.
pub(super) struct Resolved {
    pub(super) config: Config,
    /// The name of the context; `None` as a pod.
    pub(super) context: Option<String>,
    /// The proxy to the API server, if there is one.
    pub(super) proxy: Option<Proxy>,
}

/// Finds the configuration. Sends no request.
pub(super) async fn find(options: &ClusterOptions) -> Result<Resolved, CommandError> {
    let files = files(options);
    let existing: Vec<_> = files.iter().filter(|file| file.exists()).collect();
    if existing.is_empty() {
        return as_a_pod(options, &files);
    }
    let kubeconfig = existing
        .iter()
        .try_fold(Kubeconfig::default(), |merged, file| {
            merged.merge(Kubeconfig::read_from(file)?)
        })
        .map_err(|error| unreadable(&existing, &error))?;
    let context = context(options, &kubeconfig, &existing)?;
    let chosen = KubeConfigOptions {
        context: Some(context.clone()),
        ..KubeConfigOptions::default()
    };
    let proxy_url = proxy_url(&kubeconfig, &context);
    let config = Config::from_custom_kubeconfig(kubeconfig, &chosen)
        .await
        .map_err(|error| {
            CommandError::new(format!(
                "context {context} cannot be used: {}",
                cause(&error)
            ))
            .with_hint("check with `kubectl config view --minify`")
        })?;
    Ok(Resolved {
        proxy: Proxy::to_cluster(&config.cluster_url, proxy_url.as_deref())?,
        config,
        context: Some(context),
    })
}

/// Returns the files to read. `--kubeconfig` replaces all others.
fn files(options: &ClusterOptions) -> Vec<PathBuf> {
    if let Some(file) = &options.kubeconfig {
        return vec![file.clone()];
    }
    let listed = env::var_os(VARIABLE).unwrap_or_default();
    let listed: Vec<_> = env::split_paths(&listed)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if !listed.is_empty() {
        return listed;
    }
    let home = env::home_dir().map(|home| home.join(".kube/config"));
    home.into_iter().collect()
}

fn as_a_pod(options: &ClusterOptions, files: &[PathBuf]) -> Result<Resolved, CommandError> {
    let asked = options.kubeconfig.is_some() || options.context.is_some();
    if !asked && env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        let config = Config::incluster().map_err(|error| {
            CommandError::new(format!(
                "the ServiceAccount of this pod cannot be used: {}",
                cause(&error)
            ))
        })?;
        return Ok(Resolved {
            proxy: Proxy::to_cluster(&config.cluster_url, None)?,
            config,
            context: None,
        });
    }
    let files = list(files);
    Err(
        CommandError::new(format!("no kubeconfig found: {files} does not exist")).with_hint(
            format!("set the file with --kubeconfig FILE or {VARIABLE}=FILE"),
        ),
    )
}

/// Returns the proxy that the kubeconfig names for the cluster of a context.
fn proxy_url(kubeconfig: &Kubeconfig, context: &str) -> Option<String> {
    let named = kubeconfig.contexts.iter().find(|one| one.name == context);
    let cluster = &named?.context.as_ref()?.cluster;
    let named = kubeconfig.clusters.iter().find(|one| one.name == *cluster);
    named?.cluster.as_ref()?.proxy_url.clone()
}

fn context(
    options: &ClusterOptions,
    kubeconfig: &Kubeconfig,
    files: &[&PathBuf],
) -> Result<String, CommandError> {
    let names: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let current = kubeconfig.current_context.clone();
    let wanted = options
        .context
        .clone()
        .or(current.filter(|name| !name.is_empty()));
    match wanted {
        Some(wanted) if names.contains(&wanted) => Ok(wanted),
        Some(wanted) => {
            let what = format!("no context {wanted} exists in {}", list(files));
            Err(CommandError::new(what).with_hint(offer(&wanted, &names)))
        }
        None => {
            let what = format!("{} has no current context", list(files));
            Err(CommandError::new(what).with_hint(offer("", &names)))
        }
    }
}

fn offer(wanted: &str, names: &[String]) -> String {
    similar_names(wanted, names).map_or_else(
        || "it has no contexts; select another file with --kubeconfig FILE".to_owned(),
        |names| format!("existing contexts: {names}; select one with --context NAME"),
    )
}

fn unreadable(files: &[&PathBuf], error: &kube::config::KubeconfigError) -> CommandError {
    CommandError::new(format!("{} cannot be read: {}", list(files), cause(error)))
        .with_hint("check with `kubectl config view`")
}

fn list(files: &[impl AsRef<Path>]) -> String {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.as_ref().display().to_string())
        .collect();
    if names.is_empty() {
        "~/.kube/config".to_owned()
    } else {
        names.join(", ")
    }
}

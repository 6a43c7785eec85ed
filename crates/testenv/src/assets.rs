//! Locates kube-apiserver, etcd, kubectl and Helm, or builds them from their Go modules into the cache.
//!
//! Nothing prebuilt is downloaded. The variable `KUBEBUILDER_ASSETS`, as in envtest, names a folder with the first
//! three programs, which is then used instead of the cache.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::project;

/// A minor version of Kubernetes that the tests can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The version, such as `v1.37.2`.
    pub version: &'static str,
    /// The folder of `crates/testenv` whose go.mod pins it.
    pub module: &'static str,
}

/// The newest minor version, on which the tests run unless the oldest is asked for.
pub const NEWEST: Kubernetes = Kubernetes {
    version: "v1.37.2",
    module: "kubernetes",
};

/// The oldest minor version that the chart accepts.
pub const OLDEST: Kubernetes = Kubernetes {
    version: "v1.32.13",
    module: "kubernetes-oldest",
};

const ETCD: &str = "v3.7.0";

/// The version of Helm that is built. Its Go module pins the same version.
pub const HELM: &str = "v4.3.1";

const ETCD_SERVER: Tool = Tool {
    name: "etcd",
    package: "go.etcd.io/etcd/server/v3",
    version: ETCD,
    module: NEWEST.module,
    takes: "about 1 minute, once",
};
const HELM_CLIENT: Tool = Tool {
    name: "helm",
    package: "helm.sh/helm/v4/cmd/helm",
    version: HELM,
    module: "helm",
    takes: "about 3 minutes, once",
};

impl Kubernetes {
    const fn api_server(self) -> Tool {
        Tool {
            name: "kube-apiserver",
            package: "k8s.io/kubernetes/cmd/kube-apiserver",
            version: self.version,
            module: self.module,
            takes: "about 5 minutes, once",
        }
    }

    const fn kubectl(self) -> Tool {
        Tool {
            name: "kubectl",
            package: "k8s.io/kubernetes/cmd/kubectl",
            version: self.version,
            module: self.module,
            takes: "about 1 minute, once",
        }
    }
}

/// Paths of the programs.
#[derive(Clone, Debug)]
pub struct Assets {
    /// `kube-apiserver`.
    pub kube_apiserver: PathBuf,
    /// `etcd`.
    pub etcd: PathBuf,
    /// `kubectl`.
    pub kubectl: PathBuf,
}

struct Tool {
    name: &'static str,
    package: &'static str,
    version: &'static str,
    /// The folder of `crates/testenv` whose go.mod pins the version.
    module: &'static str,
    takes: &'static str,
}

impl Assets {
    /// Finds the programs in `KUBEBUILDER_ASSETS`, or builds those of the newest Kubernetes that are missing.
    ///
    /// Reports on standard error what it does and how long it takes.
    ///
    /// # Errors
    ///
    /// Returns an error if `KUBEBUILDER_ASSETS` lacks a program, or if one cannot be built.
    pub fn locate() -> Result<Self> {
        match std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) {
            Some(folder) => Self::given(&folder),
            None => Self::build(NEWEST),
        }
    }

    /// Builds the programs that are missing in the cache. It ignores `KUBEBUILDER_ASSETS`.
    ///
    /// # Errors
    ///
    /// Returns an error if one cannot be built.
    pub fn build(kubernetes: Kubernetes) -> Result<Self> {
        let cache = cache(kubernetes)?;
        Ok(Self {
            etcd: built(&cache, &ETCD_SERVER)?,
            kube_apiserver: built(&cache, &kubernetes.api_server())?,
            kubectl: built(&cache, &kubernetes.kubectl())?,
        })
    }

    fn given(folder: &Path) -> Result<Self> {
        let find = |name: &str| {
            let path = folder.join(name);
            ensure!(
                path.is_file(),
                "KUBEBUILDER_ASSETS is set, but {} is not there",
                path.display()
            );
            Ok(path)
        };
        // Some distributions of these programs leave kubectl out.
        let kubectl = NEWEST.kubectl();
        Ok(Self {
            etcd: find(ETCD_SERVER.name)?,
            kube_apiserver: find(NEWEST.api_server().name)?,
            kubectl: find(kubectl.name).or_else(|_| built(&cache(NEWEST)?, &kubectl))?,
        })
    }
}

fn cache(kubernetes: Kubernetes) -> Result<PathBuf> {
    project::cache(&format!("kubernetes-{}-etcd-{ETCD}", kubernetes.version))
}

/// Returns the path of Helm, which is built if it is missing.
///
/// # Errors
///
/// Returns an error if Helm cannot be built.
pub fn helm() -> Result<PathBuf> {
    built(&project::cache(&format!("helm-{HELM}"))?, &HELM_CLIENT)
}

/// Returns the path of the tool in the cache, and builds it first if it is missing. A lock file prevents two processes
/// from building it at the same time.
fn built(cache: &Path, tool: &Tool) -> Result<PathBuf> {
    let path = cache.join(tool.name);
    if path.is_file() {
        return Ok(path);
    }
    let lock = File::create(cache.join("lock")).context("cannot make the lock of the cache")?;
    if lock.try_lock().is_err() {
        eprintln!("Another process builds into {}; waiting …", cache.display());
        lock.lock().context("cannot lock the cache")?;
    }
    if !path.is_file() {
        build(cache, tool)?;
    }
    Ok(path)
}

fn build(cache: &Path, tool: &Tool) -> Result<()> {
    let module = project::root().join("crates/testenv").join(tool.module);
    require_go(&module)?;
    eprintln!(
        "Building {} {} from its Go modules ({}) …",
        tool.name, tool.version, tool.takes
    );
    let unfinished = cache.join(format!("{}.unfinished", tool.name));
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-ldflags", &tool.stamps(), "-o"])
        .args([unfinished.as_os_str(), OsStr::new(tool.package)]);
    command
        .current_dir(&module)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null());
    patiently(&mut command, tool.name)?;
    fs::rename(&unfinished, cache.join(tool.name))
        .context("cannot move the built program into the cache")
}

impl Tool {
    /// Returns the linker flags that set the version. Without them an API server reports v0.0.0, which some clients
    /// refuse.
    fn stamps(&self) -> String {
        if self.module == HELM_CLIENT.module {
            return format!("-s -w -X helm.sh/helm/v4/internal/version.version={HELM}");
        }
        let package = "k8s.io/component-base/version";
        let version = self.version;
        let numbers: Vec<_> = version.trim_start_matches('v').split('.').collect();
        let [major, minor, ..] = numbers.as_slice() else {
            unreachable!("the version is a constant of three numbers")
        };
        format!(
            "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
        )
    }
}

/// Checks that Go can build the module. Only Go knows: a version that is too old may download a newer toolchain.
fn require_go(module: &Path) -> Result<()> {
    let mut ask = Command::new("go");
    ask.args(["list", "-m"])
        .current_dir(module)
        .stdin(Stdio::null());
    project::output(&mut ask).map(drop).context(
        "Go 1.26 or later is needed to build the API server and Helm: install it and put `go` on the PATH; \
         for the API server you may also name a folder with kube-apiserver, etcd and kubectl in KUBEBUILDER_ASSETS",
    )
}

/// Runs a build and reports the elapsed time: every second on a terminal, otherwise every 30 seconds.
///
/// # Errors
///
/// Returns an error if the build does not start or fails.
pub fn patiently(command: &mut Command, name: &str) -> Result<()> {
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let terminal = stderr().is_terminal();
    let mut waited = 0_u64;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(Duration::from_secs(1));
        waited += 1;
        if terminal {
            eprint!("\r  … {waited} s ");
        } else if waited.is_multiple_of(30) {
            eprintln!("  … still building {name}, {waited} s");
        }
    };
    if terminal {
        eprintln!();
    }
    ensure!(
        status.success(),
        "building {name} ended with {status}; its messages are above"
    );
    Ok(())
}

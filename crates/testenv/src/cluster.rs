//! A real Kubernetes API server with its etcd on loopback, for one test or one demo.
//!
//! No controller manager runs: namespaces never finish terminating, there is no garbage collection, and no default
//! `ServiceAccounts` are created. Use a new name for each namespace.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use tempfile::TempDir;

use crate::assets::Assets;
use crate::process::{self, Server};
use crate::store::Content;
use crate::{helm, project};

/// The user with all permissions.
pub const ADMIN: &str = "admin";

const ISSUER: &str = "https://kubernetes.default.svc";

/// The maximum time for the start of a server on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running API server with its etcd. Dropping it stops both and deletes their files.
#[derive(Debug)]
pub struct Cluster {
    apiserver: Server,
    // Dropped after the API server, because an API server without its etcd hangs instead of ending.
    etcd: Server,
    ports: Ports,
    assets: Assets,
    files: PathBuf,
    folder: TempDir,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    etcd: u16,
    etcd_peer: u16,
    apiserver: u16,
}

impl Cluster {
    /// Starts etcd and kube-apiserver and waits until both are ready. Creates [`ADMIN`] and `users`, which have no
    /// permissions.
    ///
    /// # Errors
    ///
    /// Returns an error if a program is missing, or if a server does not become ready in time.
    pub fn start(users: &[&str]) -> Result<Self> {
        let assets = Assets::locate()?;
        let folder = tempfile::Builder::new()
            .prefix("secret-rotation-")
            .tempdir()?;
        process::remove_when_killed(folder.path())?;
        write_credentials(folder.path(), users)?;
        let files = folder.path().join("files");
        fs::create_dir(&files)?;
        let ports = Ports {
            etcd: process::free_port()?,
            etcd_peer: process::free_port()?,
            apiserver: process::free_port()?,
        };
        let etcd = start_etcd(&assets, folder.path(), ports)?;
        let apiserver = start_apiserver(&assets, folder.path(), ports)?;
        let mut cluster = Self {
            apiserver,
            etcd,
            ports,
            assets,
            files,
            folder,
        };
        for user in users.iter().chain(&[ADMIN]) {
            cluster.write_kubeconfig(user, &token_of(user))?;
        }
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// Returns the path of the kubeconfig of a user, or of a `ServiceAccount` for which [`Self::service_account`] was
    /// called.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.path().join(format!("{user}.kubeconfig"))
    }

    /// Returns a folder for the files of a test. A reset of the cluster empties it.
    pub fn folder(&self) -> &Path {
        &self.files
    }

    /// Returns the URL of the API server.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver)
    }

    /// Returns a `kubectl` command with the credentials of a user.
    pub fn kubectl_as(&self, user: &str) -> Command {
        let mut command = Command::new(&self.assets.kubectl);
        command
            .env("KUBECONFIG", self.kubeconfig(user))
            .env("HOME", self.folder.path())
            .env_remove("KUBERC")
            .stdin(Stdio::null());
        command
    }

    /// Returns a `kubectl` command with the credentials of [`ADMIN`].
    pub fn kubectl(&self) -> Command {
        self.kubectl_as(ADMIN)
    }

    /// Returns a Helm command with the credentials of [`ADMIN`].
    ///
    /// # Errors
    ///
    /// Returns an error if Helm cannot be built.
    pub fn helm(&self) -> Result<Command> {
        let mut command = helm::command()?;
        command.env("KUBECONFIG", self.kubeconfig(ADMIN));
        Ok(command)
    }

    /// Applies a file or a folder of manifests as [`ADMIN`].
    ///
    /// # Errors
    ///
    /// Returns the error of kubectl.
    pub fn apply(&self, path: &Path) -> Result<()> {
        project::output(
            self.kubectl()
                .args(["apply", "--server-side", "-f"])
                .arg(path),
        )
        .map(drop)
    }

    /// Applies manifests from a text as [`ADMIN`].
    ///
    /// # Errors
    ///
    /// Returns the error of kubectl.
    pub fn apply_text(&self, manifests: &str) -> Result<()> {
        self.pipe(&["apply", "-f", "-"], manifests)
    }

    /// Replaces objects completely by those of a text, as [`ADMIN`].
    ///
    /// # Errors
    ///
    /// Returns the error of kubectl.
    pub fn replace_text(&self, manifests: &str) -> Result<()> {
        self.pipe(&["replace", "-f", "-"], manifests)
    }

    fn pipe(&self, arguments: &[&str], manifests: &str) -> Result<()> {
        let mut child = self
            .kubectl()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("stdin is piped")?
            .write_all(manifests.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Writes a kubeconfig with a token of an existing `ServiceAccount`, and returns its path.
    ///
    /// # Errors
    ///
    /// Returns an error if the `ServiceAccount` does not exist.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = project::output(self.kubectl().args([
            "create",
            "token",
            name,
            "-n",
            namespace,
            "--duration=4h",
        ]))?;
        self.write_kubeconfig(name, token.trim())?;
        Ok(self.kubeconfig(name))
    }

    /// Kills the API server, as in a crash.
    pub fn kill_apiserver(&mut self) {
        self.apiserver.kill();
    }

    /// Starts the API server again on the same port with the same etcd.
    ///
    /// # Errors
    ///
    /// Returns an error if the API server does not become ready in time.
    pub fn restart_apiserver(&mut self) -> Result<()> {
        self.apiserver = start_apiserver(&self.assets, self.folder.path(), self.ports)?;
        self.wait_until_ready()
    }

    /// Pauses the API server, so that it hangs, or lets it continue.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be signaled.
    pub fn pause_apiserver(&mut self, paused: bool) -> Result<()> {
        self.apiserver.signal(if paused { "STOP" } else { "CONT" })
    }

    /// Saves the data of etcd for [`Self::restore`]. Both servers restart.
    ///
    /// # Errors
    ///
    /// Returns an error if the files cannot be copied, or if a server does not restart.
    pub fn save(&mut self) -> Result<()> {
        self.exchange("etcd", "etcd.saved")
    }

    /// Restores the data that [`Self::save`] saved, as from a backup. Later writes are lost. Both servers restart.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was saved, or if a server does not restart.
    pub fn restore(&mut self) -> Result<()> {
        self.exchange("etcd.saved", "etcd")
    }

    fn exchange(&mut self, from: &str, to: &str) -> Result<()> {
        self.apiserver.kill();
        self.etcd.kill();
        let (from, to) = (self.folder.path().join(from), self.folder.path().join(to));
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        copy_folder(&from, &to)?;
        self.etcd = start_etcd(&self.assets, self.folder.path(), self.ports)?;
        self.restart_apiserver()
    }

    /// Reads what etcd holds, for [`Self::reset`].
    ///
    /// # Errors
    ///
    /// Returns an error if etcd does not answer.
    pub(crate) fn content(&self) -> Result<Content> {
        Content::read(self.ports.etcd)
    }

    /// Deletes every object and every file that was created since `content` was read.
    ///
    /// # Errors
    ///
    /// Returns an error if an older object was changed or deleted.
    pub(crate) fn reset(&self, content: &Content) -> Result<()> {
        content.restore(self.ports.etcd)?;
        fs::remove_dir_all(&self.files)?;
        fs::create_dir(&self.files).context("cannot make a folder")
    }

    /// Returns whether both servers are still running.
    pub fn is_running(&mut self) -> bool {
        self.apiserver.is_running() && self.etcd.is_running()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let mut probe = self.kubectl();
        probe
            .args(["get", "--raw=/readyz", "--request-timeout=2s"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.apiserver.wait_until(PATIENCE, |_| {
            probe.status().is_ok_and(|status| status.success())
        })?;
        // RBAC becomes ready after `/readyz` reports readiness. A successful read proves that it is ready.
        let mut namespaces = self.kubectl();
        namespaces
            .args(["get", "namespace", "kube-system", "--request-timeout=2s"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.apiserver.wait_until(PATIENCE, |_| {
            namespaces.status().is_ok_and(|status| status.success())
        })
    }

    fn write_kubeconfig(&self, user: &str, token: &str) -> Result<()> {
        let ca = self.folder.path().join("certificates/apiserver.crt");
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.url(), "certificate-authority": ca}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": user}}],
        });
        fs::write(self.kubeconfig(user), config.to_string()).context("cannot write a kubeconfig")
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn token_of(user: &str) -> String {
    format!("token-of-{user}")
}

/// Writes the file of users with static tokens, and the key that signs tokens of `ServiceAccounts`.
fn write_credentials(folder: &Path, users: &[&str]) -> Result<()> {
    let user = |name: &&str| format!("{},{name},{name},\"people\"\n", token_of(name));
    let admin = format!("{},{ADMIN},{ADMIN},\"system:masters\"\n", token_of(ADMIN));
    fs::write(
        folder.join("tokens.csv"),
        admin + &users.iter().map(user).collect::<String>(),
    )?;
    let key = p256::SecretKey::random(&mut rand_core::OsRng);
    let private = key
        .to_pkcs8_pem(LineEnding::LF)
        .context("cannot encode a key")?;
    fs::write(folder.join("service-account.key"), private.as_bytes())?;
    let public = key
        .public_key()
        .to_public_key_pem(LineEnding::LF)
        .context("cannot encode a key")?;
    fs::write(folder.join("service-account.pub"), public)?;
    Ok(())
}

fn start_etcd(assets: &Assets, folder: &Path, ports: Ports) -> Result<Server> {
    let (client, peer) = (
        format!("http://127.0.0.1:{}", ports.etcd),
        format!("http://127.0.0.1:{}", ports.etcd_peer),
    );
    let mut command = Command::new(&assets.etcd);
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .arg("--unsafe-no-fsync");
    command.args([
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
    ]);
    command.args([
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
    ]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    let mut server = Server::start("etcd", &mut command, &folder.join("etcd.log"))?;
    server.wait_until(PATIENCE, |log| {
        log.contains("ready to serve client requests")
    })?;
    Ok(server)
}

fn start_apiserver(assets: &Assets, folder: &Path, ports: Ports) -> Result<Server> {
    let mut command = Command::new(&assets.kube_apiserver);
    command.args([
        "--etcd-servers",
        &format!("http://127.0.0.1:{}", ports.etcd),
    ]);
    command.arg("--cert-dir").arg(folder.join("certificates"));
    command.args([
        "--secure-port",
        &ports.apiserver.to_string(),
        "--bind-address",
        "127.0.0.1",
    ]);
    command.args([
        "--service-account-issuer",
        ISSUER,
        "--service-cluster-ip-range",
        "10.0.0.0/24",
    ]);
    command
        .arg("--service-account-key-file")
        .arg(folder.join("service-account.pub"));
    command
        .arg("--service-account-signing-key-file")
        .arg(folder.join("service-account.key"));
    command
        .arg("--token-auth-file")
        .arg(folder.join("tokens.csv"));
    command.args([
        "--authorization-mode",
        "RBAC",
        "--disable-admission-plugins",
        "ServiceAccount",
    ]);
    Server::start(
        "kube-apiserver",
        &mut command,
        &folder.join("kube-apiserver.log"),
    )
}

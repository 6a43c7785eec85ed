//! API servers that serve one test after the other: one at a time, and each finds its server as the first one did.
//!
//! A server goes back into the pool only if its test succeeded and left everything that was installed as it was. Whatever
//! else the test created is deleted. A server that was killed, paused or changed is thrown away, as is that of a test that
//! failed.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::store::Content;

/// Servers that are alike, as many as were ever used at once.
#[derive(Debug)]
pub struct Pool {
    users: &'static [&'static str],
    install: fn(&Cluster) -> Result<()>,
    idle: Mutex<Vec<Prepared>>,
}

/// A server with what was installed.
#[derive(Debug)]
struct Prepared {
    cluster: Cluster,
    content: Content,
}

/// A server in use. Its shared reference is all that most tests need; what changes the server itself takes the exclusive one,
/// after which the server is not used again.
#[derive(Debug)]
pub struct Borrowed {
    // Always there until it is dropped.
    cluster: Option<Cluster>,
    home: Option<(&'static Pool, Content)>,
}

impl Pool {
    /// A pool of servers with these users and with what `install` applies. No server starts yet.
    pub const fn new(users: &'static [&'static str], install: fn(&Cluster) -> Result<()>) -> Self {
        Self {
            users,
            install,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Takes an idle server, or starts one.
    ///
    /// # Errors
    ///
    /// If a server does not start, or `install` fails.
    pub fn take(&'static self) -> Result<Borrowed> {
        let idle = self.idle().pop();
        let Prepared { cluster, content } = idle.map_or_else(|| self.prepare(), Ok)?;
        Ok(Borrowed {
            cluster: Some(cluster),
            home: Some((self, content)),
        })
    }

    fn prepare(&self) -> Result<Prepared> {
        let cluster = Cluster::start(self.users)?;
        (self.install)(&cluster)?;
        let content = cluster.content()?;
        Ok(Prepared { cluster, content })
    }

    fn idle(&self) -> impl DerefMut<Target = Vec<Prepared>> {
        // Nothing fails while the lock is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Borrowed {
    /// A server that is used once.
    pub const fn own(cluster: Cluster) -> Self {
        Self {
            cluster: Some(cluster),
            home: None,
        }
    }
}

impl Deref for Borrowed {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster.as_ref().expect("it is there until dropped")
    }
}

impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut Cluster {
        self.home = None;
        self.cluster.as_mut().expect("it is there until dropped")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let (Some(cluster), Some((pool, content))) = (self.cluster.take(), self.home.take()) else {
            return;
        };
        if thread::panicking() {
            return;
        }
        match cluster.reset(&content) {
            Ok(()) => pool.idle().push(Prepared { cluster, content }),
            Err(error) => eprintln!("an API server is not used again: {error:#}"),
        }
    }
}

//! A pool of API servers that are reused by tests, one test at a time. Every test finds its server in the initial state.
//!
//! A server returns to the pool only if its test succeeded and left everything that was installed unchanged. Everything
//! that the test created is deleted. A server that was killed, paused or changed is discarded, and so is the server of a
//! test that failed.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::store::Content;

/// Servers with the same content. The pool grows to the number of servers that are used at the same time.
#[derive(Debug)]
pub struct Pool {
    users: &'static [&'static str],
    install: fn(&Cluster) -> Result<()>,
    idle: Mutex<Vec<Prepared>>,
}

/// A server, and what it held after the installation.
#[derive(Debug)]
struct Prepared {
    cluster: Cluster,
    content: Content,
}

/// A server in use. A shared reference is enough for most tests. A change of the server itself, such as a restart, takes
/// an exclusive reference, after which the server is not used again.
#[derive(Debug)]
pub struct Borrowed {
    // `Some` until it is dropped.
    cluster: Option<Cluster>,
    home: Option<(&'static Pool, Content)>,
}

impl Pool {
    /// Creates a pool of servers with these users and with what `install` applies. No server starts yet.
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
    /// Returns an error if a server does not start, or if `install` fails.
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
        // Nothing panics while the lock is held, so a poisoned lock is not a problem.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Borrowed {
    /// Wraps a server that is used once and does not return to a pool.
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

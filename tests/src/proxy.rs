//! A TCP proxy on loopback whose connections can die silently: bytes no longer arrive, and neither side is notified.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A running proxy. Its threads run until the process ends.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    /// Connections of earlier generations are dead.
    generation: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy that forwards to a port of loopback.
    pub fn to(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let proxy = Self {
            port: listener.local_addr()?.port(),
            generation: Arc::default(),
        };
        let generation = Arc::clone(&proxy.generation);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                join(&client, &server, &generation);
                join(&server, &client, &generation);
            }
        });
        Ok(proxy)
    }

    /// Returns its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Drops all further bytes of the existing connections. New connections work.
    pub fn swallow(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

/// Forwards the bytes of one side to the other, and the end of the stream.
fn join(from: &TcpStream, to: &TcpStream, generation: &Arc<AtomicUsize>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
        return;
    };
    let generation = Arc::clone(generation);
    let own = generation.load(Ordering::SeqCst);
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = from.read(&mut buffer).unwrap_or(0);
            let is_dead = generation.load(Ordering::SeqCst) != own;
            if length == 0 && !is_dead {
                let _ = to.shutdown(Shutdown::Both);
            }
            if length == 0 {
                return;
            }
            if !is_dead && to.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    });
}

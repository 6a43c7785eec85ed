//! A proxy on loopback for HTTP and SOCKS 5 that resolves every name to this machine.
//!
//! A client that asks for `api.test:6443` is connected to port 6443 of this machine. So whatever arrives there under that
//! name has passed through the proxy.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A proxy that runs until the process ends.
#[derive(Clone, Debug)]
pub struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy. With a password (`user:password` in base64), only clients that send it may use the proxy.
    pub fn start(credentials: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            asked: Arc::default(),
        };
        let serving = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(client, credentials));
            }
        });
        proxy
    }

    /// Returns the address, such as `socks5://127.0.0.1:4711`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Returns the requests since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }

    /// Serves a client. A client that disconnects early does not fail a test.
    fn serve(&self, mut client: TcpStream, credentials: Option<&str>) {
        let mut first = [0];
        let _ = client.set_read_timeout(Some(Duration::from_mins(2)));
        let Ok(1) = client.peek(&mut first) else {
            return;
        };
        let _ = if first == [5] {
            self.socks(&mut client)
        } else {
            self.http(&mut client, credentials)
        };
    }

    fn note(&self, how: &str, target: &str) {
        let mut asked = self.asked.lock().expect("no panic");
        asked.push(format!("{how} {target}"));
    }

    fn http(&self, client: &mut TcpStream, credentials: Option<&str>) -> io::Result<()> {
        let head = head(client)?;
        let mut words = head.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let is_known = |password: &&str| !head.contains(&format!("Basic {password}\r\n"));
        if credentials.as_ref().is_some_and(is_known) {
            return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        }
        if method == "CONNECT" {
            self.note("CONNECT", target);
            let server = connect(target)?;
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            return relay(client, &server);
        }
        let authority = target.strip_prefix("http://").unwrap_or(target);
        let authority = authority.split('/').next().unwrap_or_default();
        self.note("FORWARD", authority);
        let mut server = connect(authority)?;
        server.write_all(head.as_bytes())?;
        relay(client, &server)
    }

    fn socks(&self, client: &mut TcpStream) -> io::Result<()> {
        let mut greeting = [0; 2];
        client.read_exact(&mut greeting)?;
        client.read_exact(&mut vec![0; usize::from(greeting[1])])?;
        client.write_all(&[5, 0])?;
        let mut request = [0; 5];
        client.read_exact(&mut request)?;
        // A name. An address would mean that the client resolved the name itself, which it must not do.
        assert_eq!(request[3], 3, "the name is left to the proxy");
        let mut name = vec![0; usize::from(request[4])];
        client.read_exact(&mut name)?;
        let mut port = [0; 2];
        client.read_exact(&mut port)?;
        let target = format!(
            "{}:{}",
            String::from_utf8_lossy(&name),
            u16::from_be_bytes(port)
        );
        self.note("SOCKS", &target);
        let server = connect(&target)?;
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1])?;
        relay(client, &server)
    }
}

fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn connect(target: &str) -> io::Result<TcpStream> {
    let port = target.rsplit(':').next().and_then(|port| port.parse().ok());
    TcpStream::connect(("127.0.0.1", port.unwrap_or(80)))
}

fn relay(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let sending = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = sending.join();
    Ok(())
}

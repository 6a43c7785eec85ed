//! Temporary credentials from an endpoint on loopback, as a pod gets them from EKS Pod Identity.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::json;

/// When the credentials expire.
pub const END: &str = "2031-05-06T07:08:09Z";

/// An endpoint that returns the same credentials to every client until this process ends.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
}

impl Endpoint {
    /// Starts the endpoint on a free port.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let url = format!("http://{}/credentials", listener.local_addr()?);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that disconnects early retries.
                let _ = answer(stream);
            }
        });
        Ok(Self { url })
    }

    /// Makes this endpoint the only source of credentials of a command.
    pub fn serve(&self, command: &mut Command) {
        command
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &self.url);
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let body = json!({"AccessKeyId": "story", "SecretAccessKey": "story", "Token": "story", "Expiration": END}).to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

//! An HTTP client without a library.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use secret_rotation_simulator::{Options, Quirks, Simulator};
use serde_json::Value;

/// The AWS time at the start of every test.
pub(crate) const START: &str = "2026-11-23T10:00:00Z";

/// Starts a simulator whose clock moves only by jumps, in a world where AWS does nothing automatically.
pub(crate) fn quiet(scenario: &str) -> Simulator {
    let aws = simulator(scenario);
    aws.set_quirks(|quirks| {
        *quirks = Quirks {
            own_retries: 0,
            retry_on_rotate: false,
            schedules_run: false,
            ..Quirks::default()
        };
    });
    aws
}

/// Starts a simulator whose clock moves only by jumps.
pub(crate) fn simulator(scenario: &str) -> Simulator {
    let options = Options {
        clock_rate: 0.0,
        start_time: Some(START.parse().unwrap()),
        ..Options::default()
    };
    let aws = Simulator::start(options).unwrap();
    aws.add(scenario).unwrap();
    aws
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Returns `OK` or AWS's error code.
    pub(crate) fn code(&self) -> String {
        match self.json()["__type"].as_str() {
            Some(code) => code.to_owned(),
            None => "OK".to_owned(),
        }
    }
}

/// Sends a request: an operation of Secrets Manager, or of another service with its prefix.
pub(crate) fn ask(aws: &Simulator, operation: &str, parameters: &Value) -> Reply {
    try_ask(&aws.url(), operation, parameters).unwrap()
}

/// Like [`ask`], for connections that can break.
pub(crate) fn try_ask(url: &str, operation: &str, parameters: &Value) -> io::Result<Reply> {
    let target = if operation.contains('.') {
        operation.to_owned()
    } else {
        format!("secretsmanager.{operation}")
    };
    let headers = format!(
        "X-Amz-Target: {target}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=KEY/20261123/eu-west-1/secretsmanager/aws4_request, Signature=0\r\n"
    );
    exchange(url, "POST", "/", &headers, &parameters.to_string())
}

/// Sends a request to the control interface.
pub(crate) fn control(aws: &Simulator, method: &str, path: &str, body: &str) -> Reply {
    let path = format!("/_simulator/{path}");
    exchange(&aws.url(), method, &path, "", body).unwrap()
}

fn exchange(url: &str, method: &str, path: &str, headers: &str, body: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, body) = reply
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Reply {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        head: head.to_lowercase(),
        body: body.to_owned(),
    })
}

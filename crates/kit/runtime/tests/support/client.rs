//! A client that sends exactly what it is told to, and reads answers strictly.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;
use socket2::SockRef;

use super::DEADLINE;

/// One connection.
pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Breaks the connection. One that is only closed may still wait for its answer, as far as a server can see.
    pub(crate) fn leave(self) {
        let linger = Some(Duration::ZERO);
        SockRef::from(self.0.get_ref()).set_linger(linger).unwrap();
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request whose body is whole.
    pub(crate) fn send_request(&mut self, method: &str, target: &str, headers: &str, body: &str) {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: t\r\n{headers}{length}\r\n{body}"
        ));
    }

    pub(crate) fn request(&mut self, method: &str, target: &str, headers: &str) -> Response {
        self.send_request(method, target, headers, "");
        self.read_answer(method == "HEAD")
    }

    pub(crate) fn read(&mut self) -> Response {
        self.read_answer(false)
    }

    /// Reads an answer; `head` where it is that of a HEAD, which has no body.
    fn read_answer(&mut self, head: bool) -> Response {
        let line = self.line();
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        let status = status.unwrap_or_else(|| panic!("not a status line: {line:?}"));
        let mut response = Response {
            status: status.parse().unwrap(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            let header = (name.to_ascii_lowercase(), value.to_owned());
            response.headers.push(header);
        }
        if head || [101, 204, 304].contains(&response.status) {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).unwrap();
                let chunk = self.read_exact(size);
                assert_eq!(self.line(), "");
                if size == 0 {
                    break;
                }
                response.body.extend(chunk);
            }
        } else {
            let length = response.header("content-length");
            let length = length.map_or(0, |length| length.parse().unwrap());
            response.body = self.read_exact(length);
        }
        response
    }

    pub(crate) fn read_exact(&mut self, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        self.0.read_exact(&mut buffer).unwrap();
        buffer
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let whole = line.strip_suffix("\r\n");
        whole
            .unwrap_or_else(|| panic!("broken off: {line:?}"))
            .to_owned()
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        first
    }

    #[track_caller]
    pub(crate) fn request_id(&self) -> &str {
        self.header("x-request-id").unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that these are problem details with this status; gives their detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{self:?}");
        assert!(self.header("x-request-id").is_some(), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert!(!body["title"].as_str().unwrap().is_empty());
        body["detail"].as_str().unwrap().to_owned()
    }
}

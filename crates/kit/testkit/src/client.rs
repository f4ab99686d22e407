//! A client that sends exactly what it is told to, and reads answers strictly.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;
use socket2::SockRef;

use crate::DEADLINE;

/// One connection.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body, without what framed it.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects.
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).unwrap()
    }

    /// Connects, where that may fail.
    ///
    /// # Errors
    ///
    /// When nobody accepts it.
    pub fn try_connect(addr: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Breaks the connection. One that is only closed may still wait for its answer, as far as a server can see.
    pub fn leave(self) {
        let linger = Some(Duration::ZERO);
        SockRef::from(self.0.get_ref()).set_linger(linger).unwrap();
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends these bytes, where that may fail.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a request whose body is whole.
    pub fn send_request(&mut self, method: &str, target: &str, headers: &str, body: &str) {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: t\r\n{headers}{length}\r\n{body}"
        ));
    }

    /// Reads the answer to a request; `head` where it was a HEAD, which has no body.
    ///
    /// # Errors
    ///
    /// When the connection ends before the answer does.
    pub fn try_read(&mut self, head: bool) -> std::io::Result<Response> {
        let status_line = self.line()?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| status_line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        if head || [101, 204, 304].contains(&status) {
            return Ok(response);
        }
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).unwrap();
                let mut chunk = vec![0; size];
                self.0.read_exact(&mut chunk)?;
                assert_eq!(self.line()?, "");
                if size == 0 {
                    break;
                }
                response.body.extend(chunk);
            }
        } else if let Some(length) = response.header("content-length") {
            response.body = vec![0; length.parse().unwrap()];
            self.0.read_exact(&mut response.body)?;
        } else {
            self.0.read_to_end(&mut response.body)?;
        }
        Ok(response)
    }

    /// Reads an answer, of another method than HEAD.
    pub fn read(&mut self) -> Response {
        self.try_read(false).unwrap()
    }

    /// Sends a request without a body, and reads its answer.
    pub fn request(&mut self, method: &str, target: &str, headers: &str) -> Response {
        self.send_request(method, target, headers, "");
        self.try_read(method == "HEAD").unwrap()
    }

    /// The answer to a GET.
    pub fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, "")
    }

    /// Whether the server closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(size) => size == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Reads so many bytes.
    pub fn read_raw(&mut self, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        self.0.read_exact(&mut buffer).unwrap();
        buffer
    }

    /// Reads a line of a head.
    ///
    /// # Errors
    ///
    /// When it is broken off.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Response {
    /// The value of a header that is there once at most.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        first
    }

    /// The id of its request.
    #[must_use]
    #[track_caller]
    pub fn request_id(&self) -> &str {
        self.header("x-request-id").unwrap()
    }

    /// The body, which is JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The value of a sample in an exposition, by its name with its labels.
    #[must_use]
    pub fn sample(&self, series: &str) -> Option<&str> {
        self.text()
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
    }

    /// The body, which is text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Asserts that this is a problem with this status and no type of its own, whole and true; returns its detail.
    #[track_caller]
    pub fn assert_problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{self:?}");
        assert!(self.header("x-request-id").is_some());
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert!(!body["title"].as_str().unwrap().is_empty());
        body["detail"].as_str().unwrap().to_owned()
    }
}

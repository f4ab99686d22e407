//! A client that sends exactly what it is told to, and reads answers strictly.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use socket2::SockRef;

use super::server::DEADLINE;

/// One connection.
pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// `HTTP/1.1`.
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.get_ref().local_addr().unwrap()
    }
    pub(crate) fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Says that no more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Breaks the connection.
    pub(crate) fn reset(self) {
        let linger = Some(Duration::ZERO);
        SockRef::from(self.0.get_ref()).set_linger(linger).unwrap();
    }

    /// Reads a head, from its status line to the empty line.
    pub(crate) fn head(&mut self) -> std::io::Result<Answer> {
        let status_line = self.line()?;
        let (version, status) = status_line
            .split_once(' ')
            .filter(|(version, _)| ["HTTP/1.0", "HTTP/1.1"].contains(version))
            .and_then(|(version, rest)| Some((version, rest.get(..3)?.parse().ok()?)))
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
        Ok(Answer {
            version: version.to_owned(),
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Reads the answer to a request; `is_head` where it was a HEAD, which has no body. A body that has no
    /// length goes on until the connection closes.
    pub(crate) fn try_read(&mut self, is_head: bool) -> std::io::Result<Answer> {
        let mut answer = self.head()?;
        let has_none = is_head || answer.status < 200 || [204, 304].contains(&answer.status);
        if has_none {
            return Ok(answer);
        }
        let coding = answer.header("transfer-encoding");
        let length = answer.header("content-length");
        assert!(coding.is_none() || length.is_none(), "{answer:?}");
        if coding == Some("chunked") {
            while let Some(piece) = self.chunk()? {
                answer.body.extend(piece);
            }
        } else if let Some(length) = length {
            assert_eq!(coding, None);
            answer.body = vec![0; length.parse().unwrap()];
            self.0.read_exact(&mut answer.body)?;
        } else {
            self.0.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// One chunk of a body. `None`: it was the last one.
    pub(crate) fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let size = usize::from_str_radix(&self.line()?, 16).unwrap();
        let mut piece = vec![0; size];
        self.0.read_exact(&mut piece)?;
        assert_eq!(self.line()?, "");
        Ok((size > 0).then_some(piece))
    }

    pub(crate) fn read(&mut self) -> Answer {
        self.try_read(false).unwrap()
    }

    /// Sends a request without a body, and reads its answer.
    pub(crate) fn request(&mut self, method: &str, target: &str, headers: &str) -> Answer {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: t\r\n{headers}\r\n"
        ));
        self.try_read(method == "HEAD").unwrap()
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, "")
    }

    /// Asserts that the connection goes on.
    #[track_caller]
    pub(crate) fn assert_open(&mut self) {
        assert_eq!(self.get("/hello").body, b"hello");
    }

    /// Asserts that the server closes the connection, without another byte and without a reset.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        assert_eq!(self.rest().unwrap(), "");
    }

    /// Whether the connection ends, well or not, without another byte.
    pub(crate) fn is_cut_off(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(size) => size == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// All that comes until the server closes the connection.
    pub(crate) fn rest(&mut self) -> std::io::Result<String> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(String::from_utf8_lossy(&rest).into_owned())
    }

    /// So many bytes, or fewer where the connection ends before.
    pub(crate) fn read_body(&mut self, bytes: u64) -> Vec<u8> {
        let mut body = Vec::new();
        let _ = (&mut self.0).take(bytes).read_to_end(&mut body);
        body
    }

    pub(crate) fn read_exact(&mut self, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        self.0.read_exact(&mut buffer).unwrap();
        buffer
    }

    pub(crate) fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        first
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Asserts that this says whether the connection closes after it.
    #[track_caller]
    pub(crate) fn assert_closes(&self, closes: bool) {
        let expected = closes.then_some("close");
        assert_eq!(self.header("connection"), expected, "{self:?}");
    }
}

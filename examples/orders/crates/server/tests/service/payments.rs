//! A payment service of the tests' own.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

#[derive(Debug, Clone, Copy)]
pub enum Behaviour {
    Answer(u16),
    /// Answers like this so many times, then takes the money.
    AtFirst(usize, u16),
    /// Takes the money, after so long.
    After(Duration),
    /// Never answers.
    Silent,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Call {
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Call {
    pub fn key(&self) -> &str {
        &self.headers["idempotency-key"]
    }
}

pub struct Payments {
    pub url: String,
    state: Arc<State>,
}

struct State {
    behaviour: Mutex<Behaviour>,
    calls: Mutex<Vec<Call>>,
}

impl Payments {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            behaviour: Mutex::new(behaviour),
            calls: Mutex::default(),
        });
        let theirs = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&theirs);
                thread::spawn(move || {
                    // A client that is killed breaks off.
                    let _ = state.serve(BufReader::new(stream.unwrap()));
                });
            }
        });
        Self {
            url: format!("http://{address}/charges"),
            state,
        }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }
}

impl State {
    fn serve(&self, mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            assert_eq!(line, "POST /charges HTTP/1.1\r\n");
            let mut headers = BTreeMap::new();
            loop {
                line.clear();
                stream.read_line(&mut line)?;
                let Some((name, value)) = line.trim_end().split_once(": ") else {
                    break;
                };
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            stream.read_exact(&mut body)?;
            let body = serde_json::from_slice(&body).unwrap();
            let number = {
                let mut calls = self.calls.lock().unwrap();
                calls.push(Call { headers, body });
                calls.len()
            };
            let behaviour = *self.behaviour.lock().unwrap();
            let status = match behaviour {
                Behaviour::Answer(status) => status,
                Behaviour::AtFirst(times, status) if number <= times => status,
                Behaviour::AtFirst(..) => 200,
                Behaviour::After(pause) => {
                    thread::sleep(pause);
                    200
                }
                Behaviour::Silent => loop {
                    thread::park();
                },
            };
            let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\n{{}}");
            stream.get_mut().write_all(answer.as_bytes())?;
        }
    }
}

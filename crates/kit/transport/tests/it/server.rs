//! A server in this process, on a thread of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use actix_server::ServerHandle;
use actix_service::{Service as _, map_config};
use actix_web::{App, dev::AppConfig, web};
use berth_kit_transport::{
    Events, Options, Refusal, RefusalBody, Serving, Stop, StopSignal, Timeouts, listen, serve,
};

use super::{client::Client, routes};

/// Longer than anything here may take; a test that waits so long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What a server and its handlers have seen, and what its handlers wait for.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Method and target of each request that the application got.
    requests: Mutex<Vec<String>>,
    refusals: Mutex<Vec<(u16, SocketAddr)>>,
    freed: AtomicUsize,
    /// Handlers that have begun.
    pub(crate) begun: AtomicUsize,
    /// Handlers that have ended, or whose future was dropped.
    pub(crate) ended: AtomicUsize,
    /// Bytes or messages, as the handler counts them.
    pub(crate) counted: AtomicUsize,
    /// Opens the way for the handlers that wait.
    pub(crate) gate: AtomicBool,
}

impl Seen {
    pub(crate) async fn gate(&self) {
        while !self.gate.load(Ordering::Relaxed) {
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A running server. It is stopped at once when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Arc<Stop>,
    pub(crate) seen: Arc<Seen>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with_timeouts(timeouts: Timeouts) -> Self {
        Self::with(Options {
            timeouts,
            ..Options::default()
        })
    }

    pub(crate) fn with(options: Options) -> Self {
        let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1024).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (sender, receiver) = mpsc::channel();
        let theirs = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            let run = async {
                let Serving { server, stop } =
                    serve(vec![listener], &options, move || application(&theirs)).unwrap();
                sender.send((server.handle(), stop)).unwrap();
                server.await.unwrap();
            };
            actix_rt::System::new().block_on(run);
        });
        let (handle, stop) = receiver.recv().unwrap();
        Self {
            address,
            stop,
            seen,
            handle,
            thread: Some(thread),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// A connection on which a request has been answered.
    pub(crate) fn connect_idle(&self) -> Client {
        let mut client = self.connect();
        assert_eq!(client.get("/hello").status, 200);
        client
    }

    /// What the application was called with so far: `GET /hello`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The statuses of what was refused so far, and the clients.
    pub(crate) fn refusals(&self) -> Vec<(u16, SocketAddr)> {
        self.seen.refusals.lock().unwrap().clone()
    }

    /// How often a connection has ended, or has begun to rest.
    pub(crate) fn freed(&self) -> usize {
        self.seen.freed.load(Ordering::Relaxed)
    }

    pub(crate) fn begun(&self) -> usize {
        self.seen.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn ended(&self) -> usize {
        self.seen.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn counted(&self) -> usize {
        self.seen.counted.load(Ordering::Relaxed)
    }

    pub(crate) fn open_gate(&self) {
        self.seen.gate.store(true, Ordering::Relaxed);
    }

    /// Closes the listener, as the stop does.
    pub(crate) fn close(&self) {
        block_on(self.stop.close(DEADLINE));
    }

    /// [`Stop::close`] on a thread of its own.
    pub(crate) fn begin_close(&self) -> JoinHandle<()> {
        let stop = Arc::clone(&self.stop);
        thread::spawn(move || block_on(stop.close(DEADLINE)))
    }

    /// The last step of the stop: waits for what is in flight.
    pub(crate) fn finish(&mut self) {
        block_on(self.handle.stop(true));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Stops without waiting for anything.
    pub(crate) fn stop_at_once(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        if let Some(thread) = self.thread.take() {
            block_on(self.handle.stop(false));
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.open_gate();
        self.kill();
    }
}

fn application(
    seen: &Arc<Seen>,
) -> (
    impl actix_service::ServiceFactory<
        actix_http::Request,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
    Recorder,
) {
    let recorder = Recorder(Arc::clone(seen));
    let seen = web::Data::from(Arc::clone(seen));
    let app = App::new()
        .app_data(seen.clone())
        .app_data(web::PayloadConfig::new(64 << 20))
        .configure(routes::all)
        .wrap_fn(move |request, app| {
            let line = format!("{} {}", request.method(), request.uri());
            seen.requests.lock().unwrap().push(line);
            app.call(request)
        });
    (map_config(app, |()| AppConfig::default()), recorder)
}

/// Remembers what a server tells, and answers refusals with their status.
struct Recorder(Arc<Seen>);

impl Events for Recorder {
    fn refused(&self, refusal: &Refusal) -> RefusalBody {
        let status = refusal.status.as_u16();
        assert!(!refusal.detail.is_empty());
        let mut refusals = self.0.refusals.lock().unwrap();
        refusals.push((status, refusal.peer));
        RefusalBody {
            headers: vec![("x-refused".to_owned(), status.to_string())],
            bytes: format!("refused: {status}").into(),
        }
    }

    fn freed(&self) {
        self.0.freed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A handler that tells when it has begun, and when it has ended or has been dropped.
pub(crate) struct Running(Arc<Seen>);

impl Running {
    pub(crate) fn new(seen: &web::Data<Seen>) -> Self {
        seen.begun.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The stop that a request which asks for an upgrade brings along.
pub(crate) fn stop_signal(request: &actix_web::HttpRequest) -> StopSignal {
    use actix_web::HttpMessage as _;

    let signal = request.extensions().get::<StopSignal>().cloned();
    signal.expect("a request that asks for an upgrade knows of the stop")
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    actix_rt::Runtime::new().unwrap().block_on(future)
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

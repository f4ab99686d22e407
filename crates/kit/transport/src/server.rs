//! actix-server around the connections: it accepts them, hands them to its workers and drains them.

use std::{fmt, io, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use actix_http::{
    Request, Response,
    body::{BoxBody, MessageBody},
};
use actix_rt::net::TcpStream;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, fn_factory, fn_service};
use berth_kit_memory::Budget;

use crate::{
    connection, events::Events, listen::canonical, places::Places, stop::Stop,
    stream::proxy::ProxyProtocol, timeouts::Timeouts, worker::Worker,
};

/// How a server is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many threads serve connections.
    pub workers: usize,
    /// How many connections there may be at a time, in all. Where a worker's last place is taken, the connection is closed
    /// that has been idle there for longest; where none is, others wait.
    pub max_connections: usize,
    /// What is held to where memory runs short: then large heads are refused, and connections closed.
    pub memory: Option<Arc<Budget>>,
    /// How long actix-server's graceful stop may take; it counts in whole seconds, which are rounded up.
    pub shutdown_timeout: Duration,
    /// How long a connection waits for its client.
    pub timeouts: Timeouts,
    /// Who speaks the PROXY protocol, if anybody does.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            max_connections: 25_000,
            memory: None,
            shutdown_timeout: Duration::from_secs(30),
            timeouts: Timeouts::default(),
            proxy_protocol: None,
        }
    }
}

/// A server that is bound. It accepts connections once `server` is polled.
pub struct Serving {
    /// Ends when the server has stopped.
    pub server: Server,
    /// How it is stopped without losing anything.
    pub stop: Arc<Stop>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

/// Serves the application that `make` makes for each worker and listener. No signal is handled: stop it by
/// [`Serving::stop`], and then the server by its handle.
///
/// # Errors
///
/// When a listener cannot be used.
pub fn serve<F, I, A, B, E>(
    listeners: Vec<TcpListener>,
    options: &Options,
    make: F,
) -> io::Result<Serving>
where
    F: Fn() -> (I, E) + Clone + Send + 'static,
    I: IntoServiceFactory<A, Request>,
    A: ServiceFactory<Request, Config = ()> + 'static,
    A::Response: Into<Response<B>>,
    A::Error: Into<Response<BoxBody>>,
    A::InitError: fmt::Debug,
    B: MessageBody + 'static,
    E: Events,
{
    let stop = Stop::new(&listeners)?;
    let workers = options.workers;
    let per_worker = options.max_connections.div_ceil(workers);
    let mut server = Server::build()
        .workers(workers)
        // actix counts per worker, and what keeps one, below, among them.
        .max_concurrent_connections(per_worker + 1)
        .shutdown_timeout(
            options
                .shutdown_timeout
                .as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(u64::MAX),
        )
        .disable_signals();
    for listener in listeners {
        let (make, stop, timeouts) = (make.clone(), Arc::clone(&stop), options.timeouts.clone());
        let (proxy, memory) = (options.proxy_protocol.clone(), options.memory.clone());
        server = server.listen("http", listener, move || {
            let (make, stop, timeouts) = (make.clone(), Arc::clone(&stop), timeouts.clone());
            let (proxy, memory) = (proxy.clone(), memory.clone());
            fn_factory(move || {
                let (application, events) = make();
                let application = application.into_factory().new_service(());
                let (stop, timeouts) = (Arc::clone(&stop), timeouts.clone());
                let (proxy, memory) = (proxy.clone(), memory.clone());
                async move {
                    let application = application
                        .await
                        .inspect_err(|error| {
                            log::error!("the application cannot be made: {error:?}");
                        })
                        .map_err(drop)?;
                    let places = Places::of_this_worker(per_worker, workers, memory.clone());
                    let ended = Arc::clone(&stop);
                    let worker = Rc::new(Worker::new(
                        application,
                        events,
                        timeouts,
                        proxy,
                        memory,
                        stop,
                    ));
                    Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                        let (worker, places) = (Rc::clone(&worker), Rc::clone(&places));
                        let ended = Arc::clone(&ended);
                        async move {
                            // None: the client has left already.
                            if let Ok(peer) = stream.peer_addr() {
                                let entered = places.enter().await;
                                connection::serve(stream, canonical(peer), worker, entered).await;
                            }
                            // A worker that has nothing to do ends at once in a stop, and its runtime with it. What
                            // a handler has opened there, such as a connection of a pool, may be in use by another
                            // worker's: so one connection, as actix counts them, keeps it until all have ended.
                            if !places.kept() {
                                ended.all_have_ended().await;
                            }
                            Ok::<_, ()>(())
                        }
                    }))
                }
            })
        })?;
    }
    Ok(Serving {
        server: server.run(),
        stop,
    })
}

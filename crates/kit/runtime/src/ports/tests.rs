//! What liveness knows of the workers that serve the public port, by real sockets.

use std::{sync::Arc, thread, time::Duration};

use actix_web::get;
use berth_kit_health::Health;
use berth_kit_http::Routes;
use berth_kit_settings::{ServiceName, Sources, load};
use berth_kit_telemetry::log::Logging;
use berth_testkit::{Client, Response, eventually};
use futures_util::future::poll_immediate;

use super::*;
use crate::{app::AppState, logging::log_options, management, runtime::Build};

/// The beats after which a worker that has kept up with none of them is stuck.
const STUCK: usize = 30;

/// Holds its worker for longer than the other one takes to note that it runs.
#[utoipa::path(responses((status = 200)))]
#[get("/hold")]
async fn hold() -> &'static str {
    thread::sleep(Duration::from_millis(2500));
    "let go"
}

#[actix_web::test]
async fn a_worker_that_is_held_makes_the_process_unwell_until_it_runs() {
    let build = Build {
        name: ServiceName::new("shop"),
        version: "1",
        revision: "",
        rustc: "",
    };
    let mut sources = Sources::new(build.name, build.version);
    for (name, value) in [
        ("PORT", "0"),
        ("SHOP__SERVER__HOST", "127.0.0.1"),
        ("SHOP__SERVER__WORKERS", "2"),
        ("SHOP__MANAGEMENT__PORT", "0"),
        ("SHOP__LOG__FILTER", "off"),
    ] {
        sources.environment.push((name.into(), value.into()));
    }
    let loaded = load(&sources).unwrap();
    let settings = &loaded.settings;
    let logging = Logging::start(&log_options(&settings.log)).unwrap();
    let health = Arc::new(Health::new(Vec::new()));
    let own = Routes::new(|cfg| {
        cfg.service(hold);
    });
    let known = Arc::clone(&health);
    let state = AppState::new(build, &loaded, own, Vec::new(), known, &logging).await;
    let state = state.unwrap();
    let private_app = state.private(settings, management::shown(settings)).await;

    let Ports { public, private } = Ports::bind(settings, None).unwrap();
    let private = private.unwrap();
    let (clients, operators) = (public.addresses[0], private.addresses[0]);
    for (port, app) in [(public, state.public()), (private, private_app.unwrap())] {
        let timeout = state.limits.timeout.clone();
        let mut server = port.serve(settings, app, timeout, None).unwrap().server;
        assert!(poll_immediate(&mut server).await.is_none());
        actix_rt::spawn(server);
    }
    let ask = || -> Response { Client::connect(operators).get("/health") };
    let is_ready = || -> Response { Client::connect(operators).get("/ready") };
    health.started();
    assert_eq!(ask().status, 200);

    let mut held = Client::connect(clients);
    held.send("GET /hold HTTP/1.1\r\nHost: t\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    for _ in 0..STUCK {
        health.beat();
    }
    // The other one runs, and the one of the management port is none for clients.
    eventually("one of two is stuck", || {
        ask().text().contains("stuck: 1 of 2 workers, for 30s")
    });
    ask().assert_problem(503);
    let unready = is_ready();
    assert_eq!(unready.status, 503);
    assert!(
        unready.text().contains("\"worker stuck\""),
        "{}",
        unready.text()
    );
    assert_eq!(held.read().status, 200);
    eventually("it runs again", || ask().status == 200);
    assert_eq!(is_ready().status, 200);
}

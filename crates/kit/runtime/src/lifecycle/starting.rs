//! While the service is being built: it connects, migrates, fills caches. Meanwhile, on both ports, `/health` is 200,
//! `/ready` is 503 "starting up", everything else is 503, and a signal ends it at once.

use std::{future::Future, io, panic::AssertUnwindSafe, time::Duration};

use actix_rt::time::{sleep, timeout};
use actix_server::ServerHandle;
use berth_kit_http::{Routes, Timeout};
use berth_kit_settings::Settings;
use berth_kit_transport::Serving;
use futures_util::{
    FutureExt as _,
    future::{Either, join_all, poll_immediate, select},
};

use crate::{
    app::{MountError, PortApp, Starting},
    lifecycle::{
        error::Failure,
        signals::{Signals, TerminationSignal},
    },
    ports::{Port, Ports},
};

/// A service that is built within this needs nobody to answer for it.
const MOMENT: Duration = Duration::from_millis(50);

/// How long the last answer that it is starting may take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Builds the service, or gives the signal that came before.
///
/// # Errors
///
/// When it cannot be built.
pub(crate) async fn build(
    building: impl Future<Output = anyhow::Result<Routes>>,
    signals: &mut Signals,
    ports: &Ports,
    settings: &Settings,
    apps: impl AsyncFnOnce() -> Result<Starting, MountError>,
) -> Result<Result<Routes, TerminationSignal>, Failure> {
    let building = Box::pin(AssertUnwindSafe(building).catch_unwind());
    let mut outcome = select(building, Box::pin(signals.next()));
    let outcome = match select(&mut outcome, Box::pin(sleep(MOMENT))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            log::info!("the service is being built; /ready is 503 until it is");
            let Starting { public, private } = apps().await?;
            let mut servers = vec![Temporary::serve(&ports.public, settings, public).await?];
            if let Some(port) = &ports.private {
                servers.push(Temporary::serve(port, settings, private).await?);
            }
            let outcome = outcome.await;
            join_all(servers.into_iter().map(Temporary::end)).await;
            outcome
        }
    };
    match outcome {
        Either::Left((Ok(routes), _)) => Ok(Ok(routes.map_err(Failure::Build)?)),
        Either::Left((Err(_panic), _)) => Err(Failure::BuildPanicked),
        Either::Right((signal, _)) => Ok(Err(signal)),
    }
}

/// What answers on a port in the meantime.
struct Temporary {
    handle: ServerHandle,
    stop: std::sync::Arc<berth_kit_transport::Stop>,
}

impl Temporary {
    async fn serve(port: &Port, settings: &Settings, app: PortApp) -> io::Result<Self> {
        let timeout = Timeout::new(settings.server.request_timeout);
        let Serving { mut server, stop } = port.try_clone()?.serve(settings, app, timeout, None)?;
        let handle = server.handle();
        if let Some(ended) = poll_immediate(&mut server).await {
            ended?;
        }
        actix_rt::spawn(server);
        Ok(Self { handle, stop })
    }

    /// What has come is answered; what comes now waits in the listener's queue for the service.
    async fn end(self) {
        self.handle.pause().await;
        self.stop.retire();
        let _ = timeout(LAST_ANSWERS, self.stop.retired()).await;
        self.handle.stop(false).await;
    }
}

//! A service with a task beside its endpoints, and something to close at the end.
//!
//! `WORKER` says how the task behaves, so that the tests can see what becomes of it: `polite` (as one should),
//! `deaf` (does not stop), `blocks` (computes for 30 s), `fails` and `panics` (after a moment), `ends` (at once).
//! `POOL=hangs` is a pool that does not close. `BUILD` says how the start goes: `slow` (2 s), `never` ends, `fails`,
//! `fails late`, `panics`.

use std::{env, future::pending, process::ExitCode, thread, time::Duration};

use actix_web::rt::time::sleep;
use berth_kit::{Build, Result, Routes, Runtime, ServiceName, Settings, StopToken};

fn main() -> ExitCode {
    let build = Build {
        name: ServiceName::new("berth"),
        version: env!("CARGO_PKG_VERSION"),
        revision: "unknown",
        rustc: "unknown",
    };
    berth_kit::run(build, async |_settings: Settings, runtime: &mut Runtime| {
        connect().await?;
        runtime.task("worker", work);
        runtime.on_stop("cache", async { log::info!("cache: closed") });
        runtime.on_stop("pool", close_pool());
        Ok(Routes::default())
    })
}

async fn connect() -> Result<()> {
    match env::var("BUILD").unwrap_or_default().as_str() {
        "slow" => sleep(Duration::from_secs(2)).await,
        "never" => pending::<()>().await,
        "fails" => Err(std::io::Error::other("the database is gone"))?,
        "fails late" => {
            sleep(Duration::from_millis(300)).await;
            Err(std::io::Error::other("the database is gone"))?;
        }
        "panics" => panic!("the database is odd"),
        _ => {}
    }
    Ok(())
}

async fn work(stop: StopToken) -> Result<()> {
    let moment = Duration::from_millis(200);
    match env::var("WORKER").unwrap_or_default().as_str() {
        "deaf" => pending::<()>().await,
        "blocks" => thread::sleep(Duration::from_secs(30)),
        "fails" => {
            sleep(moment).await;
            Err(std::io::Error::other("the queue is gone"))?;
        }
        "panics" => {
            sleep(moment).await;
            panic!("the queue is odd");
        }
        "ends" => {}
        _ => {
            stop.requested().await;
            log::info!("worker: finishing its job");
            sleep(moment).await;
        }
    }
    Ok(())
}

async fn close_pool() {
    if env::var("POOL").is_ok_and(|pool| pool == "hangs") {
        pending::<()>().await;
    }
    log::info!("pool: closed");
}

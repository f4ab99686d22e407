//! What happens to orders while the service is run: deploys, outages, and work in the background.

mod deploy;
mod outage;
mod worker;

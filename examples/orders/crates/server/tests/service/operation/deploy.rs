//! A new version replaces the old one while clients order.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use berth_testkit::{Client, Process};

use crate::{
    payments::{Behaviour, Call, Payments},
    postgres::Database,
    process::{ORDERS, order, post, start, text},
};

const CLIENTS: usize = 6;
const REPLACEMENTS: usize = 5;

/// Where a load balancer would send the next connection.
#[derive(Default)]
struct Picker {
    addresses: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Picker {
    fn pick(&self) -> SocketAddr {
        let addresses = self.addresses.lock().unwrap();
        addresses[self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len()]
    }

    fn add(&self, service: &Process) {
        self.addresses.lock().unwrap().push(service.addr);
    }

    fn remove(&self, service: &Process) {
        self.addresses
            .lock()
            .unwrap()
            .retain(|known| *known != service.addr);
    }
}

/// Has the clients stop however the test ends.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a client has got: the id of each key.
type Taken = BTreeMap<String, String>;

/// Orders until it is told to stop, with connections that live for so many requests. Any failure is one of the test.
fn order_away(picker: &Picker, client: usize, stop: &AtomicBool) -> Taken {
    let requests_a_connection = [1, 20, usize::MAX][client % 3];
    let mut taken = Taken::new();
    let mut connection: Option<(Client, usize)> = None;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("{client}-{number}");
        // Every fifth is sent twice, as by a client that has missed the answer.
        for _ in 0..=usize::from(number % 5 == 0) {
            let (mut open, requests) = connection
                .take()
                .unwrap_or_else(|| (Client::connect(picker.pick()), 0));
            let header = format!("Idempotency-Key: {key}\r\n");
            let answer = post(&mut open, &header, &order(1));
            assert_eq!(answer.status, 201, "{answer:?}");
            let id = text(&answer, "id");
            let known = taken.entry(key.clone()).or_insert_with(|| id.clone());
            assert_eq!(*known, id, "doubled");
            let closes = answer.header("connection") == Some("close");
            if !closes && requests + 1 < requests_a_connection {
                connection = Some((open, requests + 1));
            }
        }
        number += 1;
    }
    taken
}

#[test]
fn under_load_no_request_fails_and_no_order_is_lost_or_doubled() {
    let database = Database::new();
    let payments = Payments::start(Behaviour::After(Duration::from_millis(5)));
    let settings = [
        ("PAYMENT__URL", payments.url.as_str()),
        ("SHUTDOWN__DRAIN_DELAY", "600ms"),
        ("SHUTDOWN__TIMEOUT", "5s"),
        ("LOG__ACCESS", "false"),
    ];
    let picker = Picker::default();
    let mut current = start(&database, &settings);
    picker.add(&current);
    let stop = AtomicBool::new(false);
    let taken: Taken = thread::scope(|scope| {
        let (picker, stop) = (&picker, &stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || order_away(picker, client, stop)))
            .collect();
        let load = StopAtEnd(stop);
        for _ in 0..REPLACEMENTS {
            thread::sleep(Duration::from_millis(300));
            let next = start(&database, &settings);
            picker.add(&next);
            let old = std::mem::replace(&mut current, next);
            old.signal("TERM");
            // A load balancer is told a little later.
            thread::sleep(Duration::from_millis(300));
            picker.remove(&old);
            let mut old = old;
            assert_eq!(old.wait().code(), Some(0), "{:#?}", old.log());
        }
        thread::sleep(Duration::from_millis(300));
        drop(load);
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    let ids: HashSet<_> = taken.values().collect();
    assert_eq!(ids.len(), taken.len(), "two keys share an order");
    let orders = database.number("SELECT count(*) FROM orders");
    assert_eq!(usize::try_from(orders).unwrap(), taken.len());
    // Those that were under way when their instance stopped are confirmed by the next one, each once.
    assert!(taken.len() > 100, "that was no load: {}", taken.len());
    let confirmed = database.number("SELECT count(*) FROM orders WHERE status = 'confirmed'");
    assert!(confirmed > 0);
    assert_eq!(database.number("SELECT max(version) FROM orders"), 2);
    let calls = payments.calls();
    let paid: HashSet<_> = calls.iter().map(Call::key).collect();
    assert_eq!(paid.len(), calls.len(), "an order was paid twice");
    let listed = current.get(&format!("{ORDERS}?limit=1")).json();
    assert_eq!(listed["orders"].as_array().unwrap().len(), 1);
    current.stop();
    eprintln!(
        "{} orders, {} confirmed, {REPLACEMENTS} replacements",
        taken.len(),
        confirmed
    );
}

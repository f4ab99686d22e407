//! Pages of orders.

use berth_testkit::{Client, Process};
use serde_json::Value;

use crate::{
    postgres::Database,
    process::{ORDERS, create, start},
};

/// The ids of a page, and the cursor of the next.
#[track_caller]
fn page(client: &mut Client, query: &str) -> (Vec<String>, Option<String>) {
    let answer = client.get(&format!("{ORDERS}{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let id = |order: &Value| order["id"].as_str().unwrap().to_owned();
    let ids = body["orders"].as_array().unwrap().iter().map(id).collect();
    assert!(body.as_object().unwrap().contains_key("next"));
    (ids, body["next"].as_str().map(str::to_owned))
}

fn walk(service: &Process, limit: usize) -> Vec<Vec<String>> {
    let mut client = service.client();
    let mut pages = Vec::new();
    let mut query = format!("?limit={limit}");
    loop {
        let (ids, next) = page(&mut client, &query);
        pages.push(ids);
        match next {
            Some(next) => query = format!("?limit={limit}&cursor={next}"),
            None => return pages,
        }
    }
}

#[test]
fn pages_are_exact_at_their_edges() {
    let sizes = [("ORDERS__PAGE_SIZE", "3"), ("ORDERS__MAX_PAGE_SIZE", "7")];
    let service = start(&Database::new(), &sizes);
    let mut client = service.client();
    assert_eq!(page(&mut client, ""), (vec![], None));

    let mut newest_first = Vec::new();
    for quantity in 1..=6 {
        newest_first.insert(0, create(&mut client, quantity));
    }
    // One too few, all, one more than there are.
    for limit in 1..=7 {
        let pages = walk(&service, limit);
        let sizes: Vec<_> = pages.iter().map(Vec::len).collect();
        let whole = 6 / limit;
        let mut expected = vec![limit; whole];
        expected.extend((6 % limit != 0).then_some(6 % limit));
        assert_eq!(sizes, expected, "of {limit}");
        assert_eq!(pages.concat(), newest_first, "of {limit}");
    }
    let (ids, next) = page(&mut client, "");
    assert_eq!(ids, newest_first[..3]);
    assert_eq!(next.as_deref(), Some(&*newest_first[2]));

    // After the last; and after one that is gone by now.
    let last = &newest_first[5];
    assert_eq!(
        page(&mut client, &format!("?cursor={last}")),
        (vec![], None)
    );
    let gone = &newest_first[2];
    assert_eq!(
        client
            .request("DELETE", &format!("{ORDERS}/{gone}"), "")
            .status,
        204
    );
    let (ids, next) = page(&mut client, &format!("?cursor={gone}"));
    assert_eq!((&ids[..], next), (&newest_first[3..], None));

    // What is new meanwhile is on no later page.
    let (first, next) = page(&mut client, "?limit=2");
    create(&mut client, 9);
    let (second, _) = page(&mut client, &format!("?limit=2&cursor={}", next.unwrap()));
    assert_eq!(first, newest_first[..2]);
    assert_eq!(second, newest_first[3..5]);
    service.stop();
}

#[test]
fn what_is_no_page_is_refused_with_the_reason() {
    let service = start(&Database::new(), &[("ORDERS__MAX_PAGE_SIZE", "50")]);
    let mut client = service.client();
    for (query, reason) in [
        ("?limit=0", "'limit' must be from 1 to 50; this is 0"),
        ("?limit=51", "'limit' must be from 1 to 50; this is 51"),
        ("?limit=-1", "'limit'"),
        ("?limit=ten", "'limit'"),
        ("?limit=1&limit=2", "'limit' may be given only once"),
        ("?cursor=", "'cursor' must be what `next`"),
        ("?cursor=abc", "'cursor' must be what `next`"),
        ("?cursor=%zz", "percent-encoding"),
        ("?page=2", "unknown field `page`"),
    ] {
        let detail = client.get(&format!("{ORDERS}{query}")).assert_problem(400);
        assert!(detail.contains(reason), "{query}: {detail}");
    }
    service.stop();
}

//! The admin's routes.

use berth_testkit::eventually;

use crate::{
    payments::{Behaviour, Payments},
    postgres::Database,
    process::{PREFIX, command, create, start},
};

const STATS: &str = "/api/v1/admin/stats";
const TOKEN: &str = "correct-horse-battery";

#[test]
fn only_the_token_opens_them() {
    let payments = Payments::start(Behaviour::Answer(200));
    let settings = [("ADMIN__TOKEN", TOKEN), ("PAYMENT__URL", &payments.url)];
    let service = start(&Database::new(), &settings);
    let mut client = service.client();
    for (headers, challenge) in [
        (String::new(), "Bearer realm=\"orders\""),
        (
            "Authorization: Basic YTpi\r\n".to_owned(),
            "Bearer realm=\"orders\"",
        ),
        (
            format!("Authorization: {TOKEN}\r\n"),
            "Bearer realm=\"orders\"",
        ),
        (
            "Authorization: Bearer wrong\r\n".to_owned(),
            "Bearer realm=\"orders\", error=\"invalid_token\"",
        ),
        (
            format!("Authorization: Bearer {TOKEN}x\r\n"),
            "Bearer realm=\"orders\", error=\"invalid_token\"",
        ),
        (
            "Authorization: Bearer \r\n".to_owned(),
            "Bearer realm=\"orders\"",
        ),
    ] {
        let answer = client.request("GET", STATS, &headers);
        answer.assert_problem(401);
        assert_eq!(
            answer.header("www-authenticate"),
            Some(challenge),
            "{headers}"
        );
    }
    create(&mut client, 3);
    create(&mut client, 4);
    for scheme in ["Bearer", "bearer"] {
        let headers = format!("Authorization: {scheme} {TOKEN}\r\n");
        eventually("both are confirmed", || {
            let answer = client.request("GET", STATS, &headers);
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
                == serde_json::json!({ "pending": 0, "confirmed": 2, "rejected": 0, "revenue_cents": 35 })
        });
    }
    // What is not there is as secret as what is.
    client.get("/api/v1/admin/nothing").assert_problem(401);
    let log = service.stop().concat();
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn without_a_token_nobody_is_let_in() {
    let service = start(&Database::new(), &[]);
    for headers in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer x\r\n",
    ] {
        service
            .client()
            .request("GET", STATS, headers)
            .assert_problem(401);
    }
    service.stop();
}

#[test]
fn secrets_are_shown_nowhere() {
    let url = "postgres://orders:s3cr3t@127.0.0.1/orders";
    let good = [("DATABASE__URL", url), ("ADMIN__TOKEN", TOKEN)];
    let output = command(&good).arg("check").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("postgres://********@127.0.0.1/orders"),
        "{shown}"
    );
    assert!(
        !shown.contains("s3cr3t") && !shown.contains(TOKEN),
        "{shown}"
    );

    let wrong = [
        ("ADMIN__TOKEN", "short"),
        ("ORDERS__PAGE_SIZE", "200"),
        ("DATABASE__ACQUIRE_TIMEOUT", "5"),
        ("PAYMENT__ATTEMPTS", "0"),
        ("PAYMENT__URL", "payments"),
    ];
    let output = command(&wrong).arg("check").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let faults = String::from_utf8(output.stderr).unwrap();
    for fault in [
        "6 faults",
        "database.url",
        "database.acquire_timeout = \"5\"",
        "admin.token",
        "must have at least 16 characters",
        "orders.page_size = 200",
        "payment.attempts = 0",
        "payment.url",
        &format!("{PREFIX}PAYMENT__ATTEMPTS"),
    ] {
        assert!(faults.contains(fault), "{fault}: {faults}");
    }
    assert!(!faults.contains("short"), "{faults}");
}

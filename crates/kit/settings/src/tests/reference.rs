use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::*;

#[test]
fn the_reference_has_every_key_and_its_default() {
    let text = reference::<Settings>(BERTH);
    let loaded = from_env(&[]).unwrap();
    for entry in &loaded.entries {
        let (_, after) = text
            .split_once(&format!("\n### `{}`\n\n", entry.key))
            .unwrap();
        let (about, facts) = after.split_once("\n\nDefault: ").unwrap();
        assert!(
            !about.contains("###") && about.ends_with(['.', '`']),
            "{about}"
        );
        let default = match &*entry.key {
            // The build's, and its own text.
            "app.version" => "unset. ".to_owned(),
            "server.keep_alive" => "`\"75s\"`. ".to_owned(),
            _ if entry.value == "(unset)" => "unset. ".to_owned(),
            _ => format!("`{}`. ", entry.value),
        };
        let variable = format!("{default}Variable: `{}`", BERTH.variable(&entry.key));
        assert!(
            facts.starts_with(&variable),
            "{variable} is not before {facts}"
        );
    }
    assert_eq!(text.matches("\n### ").count(), loaded.entries.len());
    for part in [
        "`BERTH__SERVER__PORT`, or `PORT`.\n",
        "`BERTH__LOG__FORMAT`. Takes effect without a restart.\n",
        "`BERTH__SERVER__BACKLOG`.\n",
        "at most 32:\n\n```toml\n[[readiness.checks]]\n",
        "\n```\n\nA check starts",
        "3 faults in the settings:\n  log.formats (environment variable BERTH__LOG__FORMATS)",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

/// How orders are taken.
#[derive(Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Orders {
    /// Orders on a page. 1 to 100.
    page_size: u32,
    /// How long an order waits for its payment.
    ///
    /// Then it is given up.
    #[serde(with = "crate::duration")]
    #[schema(value_type = String)]
    ttl: Duration,
    /// Where orders are kept.
    url: Option<SecretUrl>,
    /// What receipts are signed with.
    #[serde(rename = "signed-with")]
    signing: Secret<u64>,
    /// Who is told of an order.
    mail: Mail,
    /// In what order they are shipped.
    sorted: Sorted,
    /// In what order they are sent back.
    returned: Option<Sorted>,
    countries: Vec<String>,
}

#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Mail {
    key: Secret<String>,
    port: u16,
}

#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sorted {
    #[default]
    ByAge,
    ByValue,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            page_size: 20,
            ttl: Duration::from_mins(1),
            url: None,
            signing: Secret::new(7),
            mail: Mail::default(),
            sorted: Sorted::default(),
            returned: None,
            countries: vec!["de".to_owned()],
        }
    }
}

/// A service with two sections of its own, of one type.
struct Service;

impl ServiceSettings for Service {
    fn read(_: Settings, sections: &mut Sections<'_>) -> Self {
        let _: Orders = sections.take("orders");
        let _: Orders = sections.take("orders_abroad");
        Self
    }
}

#[test]
fn it_has_sections_as_their_types_have_them() {
    let text = reference::<Service>(BERTH);
    let (loaded, _) = load_as::<Service>(&Sources::new(BERTH, VERSION)).unwrap();
    for entry in &loaded.entries {
        let heading = format!("\n### `{}`\n", entry.key);
        assert_eq!(text.matches(&heading).count(), 1, "{heading}");
    }
    assert_eq!(text.matches("\n### ").count(), loaded.entries.len());
    for part in [
        "\n\n## `orders`\n\nHow orders are taken.\n\n###",
        "\n\n### `orders.page_size`\n\nOrders on a page. 1 to 100.\n\n\
         Default: `20`. Variable: `BERTH__ORDERS__PAGE_SIZE`.\n",
        "\n\n### `orders_abroad.page_size`\n\nOrders on a page. 1 to 100.\n\n\
         Default: `20`. Variable: `BERTH__ORDERS_ABROAD__PAGE_SIZE`.\n",
        "\n### `orders.ttl`\n\nHow long an order waits for its payment.\n\nThen it is given up.\n\n\
         Default: `\"1m\"`.",
        "\n### `orders.url`\n\nWhere orders are kept.\n\nDefault: unset.",
        "\n### `orders.signed-with`\n\nWhat receipts are signed with.\n\nDefault: `********`.",
        "\n### `orders.mail`\n\nWho is told of an order.\n\nDefault: `{\"key\":\"********\",\"port\":0}`.",
        "\n### `orders.sorted`\n\nIn what order they are shipped.\n\n\
         One of `\"by_age\"`, `\"by_value\"`.\n\nDefault: `\"by_age\"`.",
        "\n### `orders.returned`\n\nIn what order they are sent back.\n\n\
         One of `\"by_age\"`, `\"by_value\"`.\n\nDefault: unset.",
        "\n### `orders.countries`\n\nDefault: `[\"de\"]`.",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

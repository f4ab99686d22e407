//! What is refused for what another section says.

use super::*;

#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Uploads {
    #[garde(range(min = 1))]
    part_bytes: usize,
    #[garde(inner(range(max = 9)))]
    sizes: Vec<usize>,
    #[garde(skip)]
    token: Secret<String>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            part_bytes: 1,
            sizes: Vec::new(),
            token: Secret::new("hunter2".to_owned()),
        }
    }
}

struct WithUploads(Uploads);

impl ServiceSettings for WithUploads {
    fn read(kit: Settings, sections: &mut Sections<'_>) -> Self {
        let uploads: Uploads = sections.take("uploads");
        if uploads.part_bytes > kit.server.max_body_bytes {
            let others = ["server.max_body_bytes", "uploads.token"];
            sections.refuse("uploads.part_bytes", &others, "must fit in a request");
        }
        if uploads.sizes.is_empty() {
            let others = ["uploads.sizes"];
            sections.refuse("uploads.part_bytes", &others, "needs sizes");
        }
        if kit.debug.routes {
            sections.refuse("uploads.part_byte", &[], "must not be");
        }
        Self(uploads)
    }
}

fn told(environment: &[(&str, &str)]) -> Vec<String> {
    let mut sources = Sources::new(BERTH, VERSION);
    sources.environment = environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    match load_as::<WithUploads>(&sources) {
        Ok((_, WithUploads(uploads))) => {
            assert!(!uploads.sizes.is_empty());
            Vec::new()
        }
        Err(Error::Invalid(faults)) => faults.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_value_is_refused_for_what_another_section_says_with_both() {
    const PART: (&str, &str) = ("BERTH__UPLOADS__PART_BYTES", "2000000");
    const SIZES: (&str, &str) = ("BERTH__UPLOADS__SIZES", "[1]");
    const ROOM: (&str, &str) = ("BERTH__SERVER__MAX_BODY_BYTES", "3000000");
    assert_eq!(
        told(&[PART, SIZES]),
        [
            "uploads.part_bytes = 2000000 (environment variable BERTH__UPLOADS__PART_BYTES): must fit in a request; \
             server.max_body_bytes = 1048576 (built-in default); uploads.token = ******** (built-in default)"
        ]
    );
    assert_eq!(told(&[PART, SIZES, ROOM]), [""; 0]);
}

#[test]
fn what_stands_in_for_a_faulty_value_contradicts_nothing() {
    for (name, value) in [
        ("BERTH__UPLOADS__SIZES", "[10]"),
        ("BERTH__UPLOADS__SIZES", "many"),
        ("BERTH__UPLOADS__PART_BYTES", "0"),
    ] {
        let told = told(&[(name, value)]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(!told[0].contains("needs sizes"), "{told:?}");
    }
}

#[test]
fn a_key_that_is_none_is_a_fault_of_the_program() {
    let debug = ("BERTH__DEBUG__ROUTES", "true");
    let told = told(&[debug, ("BERTH__UPLOADS__SIZES", "[1]")]);
    assert_eq!(
        told,
        ["uploads.part_byte (built-in default): is no key of a section that has been taken"]
    );
}

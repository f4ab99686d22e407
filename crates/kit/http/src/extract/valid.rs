//! A JSON body that is what it has to be.

use std::{future::Future, ops::Deref, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::StatusCode, web::Bytes,
};
use garde::Validate;
use serde::{Serialize, de::DeserializeOwned};
use serde_path_to_error::Segment;

use super::objects::Objects;
use crate::problem::Problem;

/// A JSON body that holds to the rules of its type, which `#[derive(garde::Validate)]` declares.
///
/// What is no JSON is a 400 with line and column, another `Content-Type` a 415; JSON that is not of this type,
/// or breaks a rule, is a 422 with the member `errors`: for each rule that is broken, or the first value of a wrong
/// type, a JSON pointer to it and what is wrong with it. A struct is an object; an array with its fields in their
/// order is none. Rules know a field by its Rust name: one that JSON calls
/// something else has `#[garde(rename = "…")]`, too.
///
/// ```
/// use actix_web::{HttpResponse, post};
/// use berth_kit_http::Valid;
/// use garde::Validate;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, Validate)]
/// struct NewOrder {
///     #[garde(length(min = 1, max = 64))]
///     item: String,
///     #[garde(range(min = 1, max = 100))]
///     quantity: u32,
/// }
///
/// #[post("/orders")]
/// async fn create(order: Valid<NewOrder>) -> HttpResponse {
///     let NewOrder { item, quantity } = order.into_inner();
///     HttpResponse::Created().body(format!("{quantity} of {item}"))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Valid<T>(T);

impl<T> Valid<T> {
    /// What it is.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// One fault of a body.
#[derive(Serialize)]
struct Fault {
    /// Where it is, as RFC 6901 writes it: `/items/0/quantity`; empty for the whole body.
    pointer: String,
    detail: String,
}

impl<T> Valid<T>
where
    T: DeserializeOwned + Validate<Context: Default>,
{
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let value: T = serde_path_to_error::deserialize(Objects(&mut json)).map_err(|error| {
            let pointer = pointer_of(error.path());
            let error = error.into_inner();
            if error.is_data() {
                let detail = error.to_string();
                invalid([Fault { pointer, detail }].into())
            } else {
                Problem::wrong_json(&error)
            }
        })?;
        json.end().map_err(|error| Problem::wrong_json(&error))?;
        value.validate().map_err(|report| {
            let faults = report.iter().map(|(path, error)| Fault {
                pointer: pointer(&path.to_string()),
                detail: error.to_string(),
            });
            invalid(faults.collect())
        })?;
        Ok(Self(value))
    }
}

/// 422, with every fault.
fn invalid(faults: Vec<Fault>) -> Problem {
    let texts: Vec<_> = faults
        .iter()
        .map(|Fault { pointer, detail }| match pointer.as_str() {
            "" => detail.clone(),
            _ => format!("{pointer}: {detail}"),
        })
        .collect();
    let detail = format!("the body is not valid: {}", texts.join("; "));
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_member("errors", faults)
}

/// A path as a JSON pointer.
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let name = match segment {
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Seq { index } => index.to_string(),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&name);
    }
    pointer
}

/// `items[0].quantity`, as the rules write a path, as a JSON pointer.
fn pointer(path: &str) -> String {
    if path.is_empty() || path == "." {
        return String::new();
    }
    let mut pointer = String::from("/");
    for char in path.chars() {
        match char {
            '.' | '[' if pointer.ends_with('/') => {}
            '.' | '[' => pointer.push('/'),
            ']' => {}
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
    pointer
}

impl<T> FromRequest for Valid<T>
where
    T: DeserializeOwned + Validate<Context: Default> + 'static,
{
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = req.mime_type().ok().flatten().is_some_and(|mime| {
            mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json")
        });
        let body = Bytes::from_request(req, payload);
        Box::pin(async move {
            // One that is too large or too slow is that first of all.
            let body = body.await?;
            if !is_json {
                return Err(Problem::not_json().into());
            }
            Ok(Self::read(&body)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Validate)]
    struct Order {
        #[garde(dive)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize, Validate)]
    struct Item {
        #[garde(length(chars, min = 1, max = 3))]
        name: String,
        #[garde(range(min = 1))]
        quantity: u32,
    }

    /// Its status and what it says, with the pointers.
    fn refused(body: &str) -> (u16, String) {
        let problem = Valid::<Order>::read(body.as_bytes()).unwrap_err();
        let answer = problem.to_response();
        (answer.status().as_u16(), problem.to_string())
    }

    #[test]
    fn every_fault_of_a_body_is_told_with_its_place() {
        let good = r#"{"items":[{"name":"nut","quantity":2}]}"#;
        assert_eq!(
            Valid::<Order>::read(good.as_bytes()).unwrap().items.len(),
            1
        );

        let (status, text) =
            refused(r#"{"items":[{"name":"nut","quantity":1},{"name":"","quantity":0}]}"#);
        assert_eq!(status, 422);
        assert!(text.contains("/items/1/name: "), "{text}");
        assert!(text.contains("/items/1/quantity: "), "{text}");

        let (status, text) = refused(r#"{"items":[{"name":7,"quantity":1}]}"#);
        assert_eq!(status, 422);
        assert!(text.contains("/items/0/name: invalid type"), "{text}");
        let (status, text) = refused(r#"{"items":[{"name":"nut"}]}"#);
        assert_eq!(status, 422);
        assert!(text.contains("/items/0: missing field"), "{text}");
        assert_eq!(refused("[]").0, 422);

        for broken in ["", "{", r#"{"items":[}"#, r#"{"items":[]} x"#] {
            let (status, text) = refused(broken);
            assert_eq!(status, 400, "{broken}");
            assert!(text.contains("line 1 column "), "{text}");
        }
    }
    #[test]
    fn an_array_is_no_struct_wherever_it_stands() {
        const ARRAY: &str = "invalid type: array, expected an object";

        #[derive(Debug, PartialEq, Deserialize, Validate)]
        #[garde(allow_unvalidated)]
        struct All {
            one: Line,
            maybe: Option<Line>,
            many: Vec<Line>,
            named: BTreeMap<String, Line>,
            pair: (u8, Line),
            wrapped: Wrapped,
            choice: Choice,
            any: serde_json::Value,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Line {
            name: String,
            quantity: u32,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Wrapped(Line);
        #[derive(Debug, PartialEq, Deserialize)]
        enum Choice {
            None,
            Line(Line),
            Two(u8, Line),
            Named { name: String, quantity: u32 },
        }

        let good = |choice: &str| {
            format!(
                r#"{{"one":LINE,"maybe":LINE,"many":[LINE,LINE],"named":{{"a":LINE}},"pair":[1,LINE],
                    "wrapped":LINE,"choice":{choice},"any":["nut",[2.5,null,{{"x":-1}}]]}}"#
            )
        };
        let object = r#"{"name":"nut","quantity":2}"#;
        let array = r#"["nut",2]"#;
        for choice in [
            r#""None""#,
            r#"{"Line":LINE}"#,
            r#"{"Two":[1,LINE]}"#,
            r#"{"Named":LINE}"#,
        ] {
            let good = good(choice);
            let read = Valid::<All>::read(good.replace("LINE", object).as_bytes()).unwrap();
            assert_eq!(
                *read,
                serde_json::from_str(&good.replace("LINE", object)).unwrap()
            );
            // Each in its turn, all else being right.
            for (at, _) in good.match_indices("LINE") {
                let (before, after) = good.split_at(at);
                let wrong =
                    format!("{before}{array}{}", &after["LINE".len()..]).replace("LINE", object);
                serde_json::from_str::<All>(&wrong).expect("serde takes it");
                let problem = Valid::<All>::read(wrong.as_bytes()).unwrap_err();
                assert_eq!(problem.to_response().status(), 422, "{wrong}");
                assert!(problem.to_string().contains(ARRAY), "{wrong}: {problem}");
            }
        }
        assert_eq!(
            refused(r#"{"items":[{"name":"nut","quantity":2},["nut",2]]}"#),
            (
                422,
                format!(
                    "422 Unprocessable Entity: the body is not valid: /items/1: {ARRAY} at line 1 column 39"
                )
            )
        );
        let (status, text) = refused(r#"[[{"name":"nut","quantity":2}]]"#);
        assert_eq!(status, 422);
        assert!(text.contains(ARRAY), "{text}");
        let (_, text) = refused("7");
        assert!(
            text.contains("invalid type: integer `7`, expected an object"),
            "{text}"
        );
    }
}

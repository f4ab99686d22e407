//! `GET /openapi.json`: the contract for machines, put together from the endpoints themselves.
//!
//! Their parts are text: put together from values, they would be a tenth of a megabyte of code.

use actix_web::{HttpResponse, Responder, http::header, web};

use crate::{Endpoint, Info, Methods};

/// `GET /openapi.json`
pub const ENDPOINT: Endpoint = Endpoint::new(
    "/openapi.json",
    Methods::GET,
    || web::to(document),
    include_str!("../openapi/openapi.json"),
);

/// What every part may refer to.
const COMPONENTS: &str = include_str!("../openapi/components.json");

/// The document, put together once a worker.
pub(crate) struct Document(web::Bytes);

impl Document {
    pub(crate) fn new(endpoints: &[Endpoint], info: &Info) -> Self {
        let paths: Vec<_> = endpoints
            .iter()
            .map(|endpoint| format!("{}:{}", quoted(&endpoint.path), small(endpoint.openapi())))
            .collect();
        let document = format!(
            "{{\"openapi\":\"3.1.0\",\"info\":{{\"title\":{},\"version\":{},\"license\":{}}},\
             \"servers\":[{{\"url\":\"/\"}}],\"paths\":{{{}}},\"components\":{}}}",
            quoted(&info.app),
            quoted(&info.version),
            r#"{"name":"MIT OR Apache-2.0","identifier":"MIT OR Apache-2.0"}"#,
            paths.join(","),
            small(COMPONENTS),
        );
        Self(document.into())
    }
}

/// As a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Without the line breaks and indents that were for people.
fn small(json: &str) -> String {
    json.lines().map(str::trim).collect()
}

async fn document(document: web::Data<Document>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(document.0.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What the document says of a limit is what the code holds to.
    #[test]
    fn is_whole_and_true() {
        let info = Info {
            app: "a \"b\"".to_owned(),
            version: "1".to_owned(),
            revision: String::new(),
            hostname: String::new(),
            env: String::new(),
            rustc: String::new(),
            message: String::new(),
        };
        let Document(bytes) = Document::new(&crate::endpoints(true), &info);
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["info"]["title"], "a \"b\"");
        let parameter =
            |path: &str| document["paths"][path]["get"]["parameters"][0]["schema"].clone();
        let name = parameter("/api/v1/hello");
        assert_eq!(name["maxLength"], crate::hello::MAX_NAME_CHARS);
        assert_eq!(name["default"], crate::hello::DEFAULT_NAME);
        let bytes = parameter("/debug/bytes/{n}");
        assert_eq!(bytes["maximum"], crate::debug::MAX_BYTES);
        let duration = &document["components"]["schemas"]["Duration"];
        assert_eq!(duration["maxLength"], crate::duration::MAX_BYTES);
        for endpoint in crate::endpoints(true) {
            let item = document["paths"][&*endpoint.path].as_object().unwrap();
            let documented: Vec<_> = item.keys().map(|m| m.to_ascii_uppercase()).collect();
            for method in endpoint.methods.names() {
                let known = *method == "HEAD" || documented.iter().any(|m| m == method);
                assert!(known, "{} {method}", endpoint.path);
            }
        }
    }
}

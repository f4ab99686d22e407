//! Who may ask.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
    web,
};
use berth_kit::{Problem, Secret};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// What the admin shows; of it only the hash, whose comparison tells nothing of the token, nor of its length.
#[derive(Clone)]
pub struct AdminToken(Option<[u8; 32]>);

impl AdminToken {
    /// This token; without one, nobody is let in.
    #[must_use]
    pub fn new(token: Option<&Secret<String>>) -> Self {
        Self(token.map(|token| Sha256::digest(token.expose()).into()))
    }

    fn is(&self, token: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(token).into();
        self.0.is_some_and(|own| own.ct_eq(&shown).into())
    }
}

/// Lets a request pass that has the admin's bearer token.
///
/// # Errors
///
/// 401 for all others.
pub async fn bearer(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let known = request.app_data::<web::Data<AdminToken>>();
    let shown = request.headers().get(header::AUTHORIZATION);
    let token = shown
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    if known
        .zip(token)
        .is_some_and(|(known, token)| known.is(token))
    {
        return next.call(request).await;
    }
    // RFC 6750: an error is named only where a token was shown.
    let challenge = match token {
        None => r#"Bearer realm="orders""#,
        Some(_) => r#"Bearer realm="orders", error="invalid_token""#,
    };
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "send the admin's token: Authorization: Bearer …",
    );
    Err(problem
        .with_header((header::WWW_AUTHENTICATE, challenge))
        .into())
}

/// How the admin's routes are secured.
#[derive(Debug, OpenApi)]
#[openapi(modifiers(&Bearer))]
pub struct Documentation;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", scheme);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_it() {
        let token = AdminToken::new(Some(&Secret::new("correct horse".to_owned())));
        assert!(token.is("correct horse"));
        for wrong in ["", "correct horsf", "correct hors", "correct horse "] {
            assert!(!token.is(wrong), "{wrong:?}");
            assert!(!AdminToken::new(None).is(wrong), "{wrong:?}");
        }
    }
}

//! `http://` and `https://`: a GET is answered with an expected status.

use std::ops::RangeInclusive;

use super::kept::{self, Ask};
use crate::{
    error::CheckError,
    readiness::{Cause, Check},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use berth_kit_settings::{ReadinessCheck, SecretUrl};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, HOST, HeaderValue, USER_AGENT},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use url::Url;

/// How much of an answer is read, so that its connection can be used again. A health check that
/// says more than that costs a connection each time.
const MAX_BODY_BYTES: usize = 64 * 1024;

type Connection = SendRequest<Empty<Bytes>>;

struct Http {
    url: Url,
    status: RangeInclusive<u16>,
    authorization: Option<HeaderValue>,
    #[cfg(feature = "check-https")]
    tls: Option<Tls>,
}

#[cfg(feature = "check-https")]
struct Tls {
    connector: tokio_rustls::TlsConnector,
    name: rustls::pki_types::ServerName<'static>,
}

pub(super) fn plain(check: &ReadinessCheck, url: &SecretUrl) -> Result<Box<dyn Check>, CheckError> {
    Ok(kept::check(Http {
        url: url.expose().clone(),
        status: check.status.clone(),
        authorization: authorization(check, url.expose())?,
        #[cfg(feature = "check-https")]
        tls: None,
    }))
}

/// Verifies against the system's CA bundle, which the image has; `SSL_CERT_FILE` names another.
#[cfg(feature = "check-https")]
pub(super) fn tls(check: &ReadinessCheck, url: &SecretUrl) -> Result<Box<dyn Check>, CheckError> {
    use std::sync::Arc;

    use rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    };

    const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
    let path = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| BUNDLE.into());
    let mut roots = RootCertStore::empty();
    let bundle = CertificateDer::pem_file_iter(&path).map_err(|error| CheckError::CaBundle {
        name: check.name.clone(),
        path: path.clone().into(),
        source: error.into(),
    })?;
    // One that cannot be used is no reason to do without the others.
    roots.add_parsable_certificates(bundle.filter_map(Result::ok));
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host(url.expose()).to_owned());
    let name = name.map_err(|error| CheckError::NoServerName {
        name: check.name.clone(),
        source: error.into(),
    })?;
    Ok(kept::check(Http {
        url: url.expose().clone(),
        status: check.status.clone(),
        authorization: authorization(check, url.expose())?,
        tls: Some(Tls {
            connector: Arc::new(config).into(),
            name,
        }),
    }))
}

/// The host without an IPv6 address's brackets.
fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

/// The URL's credentials as a header, by RFC 7617.
fn authorization(check: &ReadinessCheck, url: &Url) -> Result<Option<HeaderValue>, CheckError> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return Ok(None);
    }
    let mut credentials: Vec<u8> = percent_decode_str(url.username()).collect();
    if credentials.contains(&b':') {
        let problem = "the user name has a colon in it, where a password would begin";
        return Err(CheckError::refused(check, problem));
    }
    credentials.push(b':');
    credentials.extend(percent_decode_str(password.unwrap_or_default()));
    let header = format!("Basic {}", BASE64_STANDARD.encode(credentials));
    let mut header = HeaderValue::try_from(header)
        .map_err(|error| CheckError::refused(check, error.to_string()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

impl Ask for Http {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, Cause> {
        let port = self.url.port_or_known_default().unwrap_or(80);
        let stream = berth_kit_names::connect(host(&self.url), port).await?;
        #[cfg(feature = "check-https")]
        if let Some(tls) = &self.tls {
            let stream = tls.connector.connect(tls.name.clone(), stream).await?;
            return start(TokioIo::new(stream)).await;
        }
        start(TokioIo::new(stream)).await
    }

    async fn ask(&self, mut connection: Connection) -> Result<Option<Connection>, Cause> {
        connection.ready().await?;
        let response = connection.send_request(self.request()?).await?;
        let status = response.status().as_u16();
        if !self.status.contains(&status) {
            return Err(format!("status {status}").into());
        }
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES);
        Ok(body.collect().await.is_ok().then_some(connection))
    }
}

impl Http {
    fn request(&self) -> Result<Request<Empty<Bytes>>, Cause> {
        let url = &self.url;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::get(target)
            .header(HOST, host)
            .header(USER_AGENT, concat!("berth/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())?;
        if let Some(authorization) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

async fn start(io: impl Read + Write + Unpin + 'static) -> Result<Connection, Cause> {
    let (client, connection) = handshake(io).await?;
    // It ends with the client, or with an error that the client's next request has as well.
    actix_rt::spawn(
        async {
            let _ = connection.await;
        }
        .boxed_local(),
    );
    Ok(client)
}

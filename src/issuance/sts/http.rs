//! The SDK's HTTP over the one client the whole program shares.

use aws_sdk_sts::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sts::config::{HttpClient, RuntimeComponents};
use aws_sdk_sts::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_types::body::SdkBody;

/// Many times what STS ever answers.
const MAX_ANSWER: usize = 256 * 1024;

#[derive(Debug, Clone)]
pub(super) struct OurHttpClient(pub(super) reqwest::Client);

impl HttpClient for OurHttpClient {
    // The SDK enforces its attempt timeout itself, and connecting is limited in the shared client.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for OurHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
            let request = request.map(|body| reqwest::Body::from(body.bytes().unwrap_or_default().to_vec()));
            let request = reqwest::Request::try_from(request).map_err(|e| ConnectorError::user(e.into()))?;
            let mut response = client.execute(request).await.map_err(connector_error)?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(connector_error)? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(ConnectorError::other("the answer is too large".into(), None));
                }
                body.extend_from_slice(&chunk);
            }
            let mut answer = http::Response::new(SdkBody::from(body));
            *answer.status_mut() = response.status();
            *answer.headers_mut() = response.headers().clone();
            HttpResponse::try_from(answer).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

fn connector_error(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}

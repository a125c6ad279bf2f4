//! What AWS accounts trust.

use actix_web::{HttpResponse, web};

use super::problem::{Kind, Problem};
use crate::flows::token_keys::{TokenKeyError, TokenKeys};
use crate::issuance::web_identity::documents::{self, MAX_AGE};

/// Our IdP metadata, made when the keys were loaded.
#[derive(Debug, Clone)]
pub struct SamlMetadata(pub String);

/// `GET /aws/saml-metadata.xml`: goes into each account's IAM SAML provider.
pub async fn saml_metadata(metadata: web::Data<SamlMetadata>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/samlmetadata+xml")
        .insert_header(("cache-control", "public, max-age=300"))
        .insert_header(("content-disposition", "inline; filename=\"rolegate-saml-metadata.xml\""))
        .body(metadata.0.clone())
}

/// `GET /.well-known/openid-configuration`: what an IAM OpenID provider is made for.
pub async fn discovery(keys: web::Data<TokenKeys>) -> HttpResponse {
    may_be_kept().content_type("application/json").body(documents::discovery(keys.issuer()))
}

/// `GET /aws/jwks.json`: the public keys of the tokens AWS is given, those of yesterday and of tomorrow among them.
///
/// # Errors
/// The database or a key fails.
pub async fn jwks(keys: web::Data<TokenKeys>) -> Result<HttpResponse, Problem> {
    Ok(may_be_kept().content_type("application/jwk-set+json").body(keys.jwks().await?))
}

fn may_be_kept() -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer.insert_header(("cache-control", format!("public, max-age={MAX_AGE}")));
    answer
}

impl From<TokenKeyError> for Problem {
    fn from(error: TokenKeyError) -> Self {
        match error {
            TokenKeyError::Store(error) => error.into(),
            TokenKeyError::Key(_) | TokenKeyError::Withdrawn | TokenKeyError::Certificate(_) => {
                Self::new(Kind::Internal).caused_by(error)
            }
        }
    }
}

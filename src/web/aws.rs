//! What AWS accounts trust.

use actix_web::{HttpResponse, web};

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

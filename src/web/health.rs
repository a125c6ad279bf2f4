//! For load balancers and supervisors.

use actix_web::{HttpResponse, web};

use super::problem::{Kind, Problem};
use crate::flows::Ground;

/// `GET /healthz`: the process runs.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// `GET /readyz`: the database answers and takes writes.
///
/// # Errors
/// [`Kind::Unavailable`].
pub async fn ready(ground: web::Data<Ground>) -> Result<HttpResponse, Problem> {
    ground.store.check().await.map_err(|e| Problem::new(Kind::Unavailable).caused_by(e))?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}

//! For load balancers and supervisors.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use tokio::sync::Mutex;

use super::problem::{Kind, Problem};
use crate::flows::Ground;

/// `GET /healthz`: the process runs.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// When the database was last looked at, and whether it was well.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, bool)>>);

/// The look needs the one connection that writes, and anybody may ask: so often and no more.
const EVERY: Duration = Duration::from_secs(1);

/// `GET /readyz`: the database answers and takes writes, or did within the last second.
///
/// # Errors
/// [`Kind::Unavailable`].
pub async fn ready(ground: web::Data<Ground>, last: web::Data<Readiness>) -> Result<HttpResponse, Problem> {
    let mut last = last.0.lock().await;
    let well = match *last {
        Some((at, well)) if at.elapsed() < EVERY => well,
        _ => {
            let looked = ground.store.check().await;
            *last = Some((Instant::now(), looked.is_ok()));
            looked.map_err(|e| Problem::new(Kind::Unavailable).caused_by(e))?;
            true
        }
    };
    if well {
        Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
    } else {
        Err(Problem::new(Kind::Unavailable))
    }
}

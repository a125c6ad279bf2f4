//! Single logout by HTTP-Redirect: the identity provider forgets who is signed in and says so.
//!
//! Spec: SAML profiles 4.4.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};

use super::{RequestError, State, cookie, entity_id};
use crate::saml::gate::{self, Limits, Root, Sha1};
use crate::saml::names::{SAML, SUCCESS, date_time};
use crate::saml::redirect::{self, Carries};
use crate::saml::write::{self, Element, SAMLP};

/// `GET /idp/saml/slo`
pub async fn redirect(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let mut gone = cookie(&state, String::new());
    gone.make_removal();
    let mut answer = match answer(&state, request.query_string()).await {
        Ok(location) => HttpResponse::Found().insert_header((LOCATION, location)).finish(),
        Err(error) => return error.page(),
    };
    let _ = answer.add_cookie(&gone);
    answer
}

async fn answer(state: &State, query: &str) -> Result<String, RequestError> {
    let now = state.clock.now();
    let unreadable = |error: &dyn std::fmt::Display| RequestError::Unreadable(error.to_string());
    let received =
        redirect::receive(Carries::Request, query, super::MAX_REQUEST).map_err(|error| unreadable(&error))?;
    let limits = Limits::MESSAGE.with_bytes(super::MAX_REQUEST);
    let gated =
        gate::admit(&received.xml, Root::LogoutRequest, &limits, Sha1::Refused).map_err(|error| unreadable(&error))?;
    let root = gated.root();
    let id = root.attribute("ID").ok_or_else(|| unreadable(&"it has no ID"))?;
    let issuer = root
        .children()
        .find(|node| node.has_tag_name((SAML, "Issuer")))
        .and_then(gate::text_of)
        .ok_or(RequestError::NoIssuer)?;
    let partners = state.service_providers.all(now).await;
    let partner = partners.into_iter().find(|partner| partner.entity_id == issuer);
    let Some((partner, slo_url)) = partner.and_then(|partner| partner.slo_url.clone().map(|url| (partner, url))) else {
        return Err(RequestError::Unregistered { issuer: issuer.to_owned(), acs_url: "a logout address".to_owned() });
    };
    if received.signed && !partner.certificates.is_empty() {
        redirect::verify(Carries::Request, query, &partner.certificates, Sha1::Refused)
            .map_err(|error| RequestError::Signature(error.to_string()))?;
    }
    let xml = Element::new(SAMLP, "LogoutResponse")
        .attr("Destination", slo_url.as_str())
        .attr("ID", state.rng.xml_id())
        .attr("InResponseTo", id)
        .attr("IssueInstant", date_time(now))
        .attr("Version", "2.0")
        .child(Element::new(write::SAML, "Issuer").text(entity_id(&state.base)))
        .child(Element::new(SAMLP, "Status").child(Element::new(SAMLP, "StatusCode").attr("Value", SUCCESS)))
        .write()
        .map_err(|error| unreadable(&error))?;
    let query = redirect::signed_query(
        Carries::Response,
        xml.as_str(),
        received.relay_state.as_deref(),
        write::RSA_SHA256,
        |bytes| state.keys.idp.sign(bytes),
    )
    .map_err(|error| unreadable(&error))?;
    let separator = if slo_url.contains('?') { '&' } else { '?' };
    Ok(format!("{slo_url}{separator}{query}"))
}

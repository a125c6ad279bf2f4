//! Choosing a connector.

use actix_web::{HttpRequest, HttpResponse, web};

use super::fields::Fields;
use super::limits::Limits;
use super::problem::Problem;
use super::session::Cookies;
use super::{StartAddress, To, page, see_other, views};
use crate::catalog::{Catalog, Connector, EmailDomain};
use crate::flows::current::CurrentCatalog;
use crate::sys::LocalPath;

/// `GET /sign-in?return_to=&choose=&email=`: the ways in, the one used last first.
///
/// The catalog's default connector skips the page unless `choose` is sent. An address in `email` leads to the connector
/// of its domain.
///
/// # Errors
/// The database refuses, or too many addresses were tried.
pub async fn choose(
    request: HttpRequest,
    catalog: web::Data<CurrentCatalog>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    let return_to = LocalPath::parse_or_home(fields.get("return_to"));
    let loaded = catalog.get().await?;
    let mut email = None;
    if let Some(address) = fields.get("email") {
        limits.sign_in(super::context::client_address(&request))?;
        match at_home(&loaded.catalog, address) {
            Ok(connector) => {
                let hint = connector.takes_login_hint().then(|| address.trim());
                let way = StartAddress::new(connector, &return_to).hint(hint);
                return Ok(lead_to(&cookies, &request, &way, &connector.name));
            }
            Err(error) => {
                let value = address.chars().take(LONGEST_ADDRESS).collect();
                email = Some(views::EmailField { value, error: error.to_owned() });
            }
        }
    } else if let Some(connector) = loaded.catalog.default_connector().filter(|_| fields.get("choose").is_none()) {
        return Ok(lead_to(&cookies, &request, &StartAddress::new(connector, &return_to), &connector.name));
    }
    let last = cookies.last_connector(&request);
    let mut ways: Vec<&Connector> =
        loaded.catalog.connectors().filter(|connector| connector.enabled && connector.is_for_people()).collect();
    let is_last = |connector: &Connector| last.as_deref() == Some(connector.id.as_str());
    ways.sort_by_key(|connector| (!is_last(connector), !connector.default, connector.name.as_str()));
    let by_email = ways.iter().any(|connector| !connector.email_domains.is_empty());
    let connectors = ways
        .into_iter()
        .map(|connector| views::ConnectorChoice {
            name: connector.name.clone(),
            href: StartAddress::new(connector, &return_to).to_string(),
            host: String::new(),
            last_used: is_last(connector),
        })
        .collect();
    let mut shell = views::Shell::default();
    // Whoever comes with an old cookie was signed in before: say why they are here.
    if email.is_none() && cookies.session_token(&request).is_some() && fields.get("return_to").is_some() {
        let text = "Your session has ended. Sign in again to go on where you were.";
        shell.notices.push(views::Notice::new(views::Tone::Info, text));
    }
    let email = by_email.then(|| email.unwrap_or_default());
    Ok(page(&views::SignIn { shell, connectors, email, return_to: return_to.to_string() }))
}

/// No address is longer. Spec: RFC 5321 4.5.3.1.
const LONGEST_ADDRESS: usize = 254;

/// The connector where the address is at home, or what is wrong with it. Only the domain is looked at: whether there is
/// such a person is for the provider to know.
fn at_home<'c>(catalog: &'c Catalog, address: &str) -> Result<&'c Connector, &'static str> {
    let domain = (address.trim().len() <= LONGEST_ADDRESS).then(|| EmailDomain::of_address(address)).flatten();
    let domain = domain.ok_or("That is not an e-mail address. Write it as in name@company.example.")?;
    catalog.home_of(&domain).ok_or("No way to sign in is known for addresses of that domain. Choose one from the list.")
}

/// Sends the browser to a connector's start.
///
/// Browsers hold a page's `form-action` against the redirects that follow its form, `GET` forms included, and identity
/// providers are not in it. So whoever may have come by a form of ours gets a page that leads on by itself.
fn lead_to(cookies: &Cookies, request: &HttpRequest, way: &StartAddress<'_>, connector: &str) -> HttpResponse {
    if cookies.from_own_page(request.headers()) {
        return page(&views::Onward {
            shell: views::Shell::default(),
            title: format!("To {connector}"),
            lead: format!("You are being sent to {connector} to sign in."),
            href: way.to_string(),
            link: format!("Continue with {connector}"),
        });
    }
    see_other(&To::Start(way))
}

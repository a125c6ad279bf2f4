//! A browser without scripts, as far as a sign-in needs one: cookies with their sites, forms, redirects.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;
use url::Url;

/// Longer chains of redirects are a loop.
const MOST_REDIRECTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps cookies by host name, whatever the port, and withholds `SameSite` cookies from other sites as browsers do.
#[derive(Debug)]
pub struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<(String, String), Cookie>,
    /// The page it is on; what it sends next comes from there.
    page: Option<Url>,
}

#[derive(Debug, Clone)]
struct Cookie {
    value: String,
    path: String,
    same_site: SameSite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SameSite {
    Strict,
    Lax,
    None,
}

/// What a browser shows after all redirects.
#[derive(Debug, Clone)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

/// A form as it would be sent.
#[derive(Debug, Clone)]
pub struct Form {
    pub page: Url,
    pub action: Url,
    pub post: bool,
    pub fields: Vec<(String, String)>,
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    pub fn new() -> Self {
        let client = rolegate::sys::http::client(PATIENCE).expect("the machine has a certificate store");
        Self { client, cookies: BTreeMap::new(), page: None }
    }

    /// One that trusts an authority of the test's own too.
    pub fn trusting(authority: &std::path::Path) -> Self {
        let certificate = reqwest::Certificate::from_pem(&std::fs::read(authority).unwrap()).unwrap();
        let browser = Self::new();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_merge([certificate])
            .build()
            .unwrap();
        Self { client, ..browser }
    }

    /// Types an address: no site asks for it, so every cookie goes along.
    pub async fn get(&mut self, url: &str) -> Page {
        self.page = None;
        self.walk(Url::parse(url).expect("an address"), None).await
    }

    /// Types an address and looks at where it leads without going there.
    pub async fn peek(&mut self, url: &str) -> Url {
        let page = self.request(&Url::parse(url).expect("an address"), None, None).await;
        let location = page.headers.get("location").unwrap_or_else(|| panic!("no redirect: {}", page.body));
        page.url.join(location.to_str().expect("a location is ASCII")).expect("an address")
    }

    /// Follows a link of the page it is on.
    pub async fn follow(&mut self, href: &str) -> Page {
        let page = self.page.clone().expect("a link is on a page");
        self.walk(page.join(href).expect("a link"), None).await
    }

    /// Goes on as long as pages lead on by themselves, by a link or, with scripts, a form for another site.
    pub async fn go_on(&mut self, mut page: Page) -> Page {
        for _ in 0..MOST_REDIRECTS {
            let message = |form: &Form| form.post && (form.has("SAMLRequest") || form.has("SAMLResponse"));
            page = if let Some(place) = page.leads_on() {
                self.page = Some(page.url.clone());
                self.follow(&place).await
            } else if let Some(form) = page.forms().into_iter().find(message) {
                self.submit(&form).await
            } else {
                return page;
            };
        }
        panic!("{} leads on for ever", page.url);
    }

    pub async fn submit(&mut self, form: &Form) -> Page {
        self.page = Some(form.page.clone());
        if form.post {
            self.walk(form.action.clone(), Some(&form.fields)).await
        } else {
            let mut url = form.action.clone();
            url.query_pairs_mut().clear().extend_pairs(&form.fields);
            self.walk(url, None).await
        }
    }

    /// The value of a cookie this host set.
    pub fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(&(host.to_owned(), name.to_owned())).map(|cookie| cookie.value.as_str())
    }

    /// Makes it another browser that has this one's cookies.
    pub fn with_cookies_of(other: &Self) -> Self {
        Self { cookies: other.cookies.clone(), ..Self::new() }
    }

    async fn walk(&mut self, mut url: Url, mut fields: Option<&[(String, String)]>) -> Page {
        let from = self.page.clone();
        for _ in 0..=MOST_REDIRECTS {
            let page = self.request(&url, fields, from.as_ref()).await;
            let location = page.headers.get("location").filter(|_| (300..400).contains(&page.status));
            let Some(location) = location else {
                self.page = Some(page.url.clone());
                return page;
            };
            let location = location.to_str().expect("a location is ASCII");
            url = url.join(location).unwrap_or_else(|error| panic!("{url} redirects to {location}: {error}"));
            if !matches!(page.status, 307 | 308) {
                fields = None;
            }
        }
        panic!("{url} redirects for ever");
    }

    async fn request(&mut self, url: &Url, fields: Option<&[(String, String)]>, from: Option<&Url>) -> Page {
        let foreign = from.is_some_and(|from| from.host_str() != url.host_str());
        let mut request = match fields {
            Some(fields) => self.client.post(url.clone()).form(fields),
            None => self.client.get(url.clone()),
        };
        let cookies = self.cookies_for(url, foreign, fields.is_some());
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        if fields.is_some() {
            let origin = from.map_or_else(|| "null".to_owned(), |from| from.origin().ascii_serialization());
            request = request.header("origin", origin);
        }
        let site = match from {
            None => "none",
            Some(from) if from.origin() == url.origin() => "same-origin",
            Some(_) if foreign => "cross-site",
            Some(_) => "same-site",
        };
        if let Some(from) = from.filter(|from| from.origin() == url.origin()) {
            // As under the referrer policy `same-origin`.
            request = request.header("referer", from.as_str());
        }
        request = request
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .timeout(PATIENCE);
        let response = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            self.keep(url, cookie.to_str().expect("a cookie is ASCII"));
        }
        let body = response.text().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        Page { url: url.clone(), status, headers, body }
    }

    /// What the `Cookie` header holds. A cookie without `SameSite` counts as `Lax`.
    fn cookies_for(&self, url: &Url, foreign: bool, posting: bool) -> String {
        let host = url.host_str().unwrap_or_default();
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .filter(|((owner, _), cookie)| {
                let allowed = match cookie.same_site {
                    SameSite::None => true,
                    SameSite::Lax => !foreign || !posting,
                    SameSite::Strict => !foreign,
                };
                owner == host && url.path().starts_with(&cookie.path) && allowed
            })
            .map(|((_, name), cookie)| format!("{name}={}", cookie.value))
            .collect();
        pairs.join("; ")
    }

    /// Has this cookie (`name=value`) for a host, as if it had been set.
    pub fn keep_for(&mut self, host: &str, cookie: &str) {
        self.keep(&Url::parse(&format!("http://{host}/")).expect("a host"), cookie);
    }

    fn keep(&mut self, url: &Url, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie has a name");
        let key = (url.host_str().unwrap_or_default().to_owned(), name.to_owned());
        let mut cookie = Cookie { value: value.to_owned(), path: "/".to_owned(), same_site: SameSite::Lax };
        let mut ended = false;
        for attribute in parts {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match (name.to_ascii_lowercase().as_str(), value) {
                ("path", path) => path.clone_into(&mut cookie.path),
                ("samesite", value) if value.eq_ignore_ascii_case("strict") => cookie.same_site = SameSite::Strict,
                ("samesite", value) if value.eq_ignore_ascii_case("none") => cookie.same_site = SameSite::None,
                ("max-age", age) => ended = age.parse::<i64>().is_ok_and(|age| age <= 0),
                ("expires", date) => ended |= date.contains(" 1970 "),
                _ => {}
            }
        }
        if ended {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, cookie);
        }
    }
}

impl Page {
    pub fn has_form_with(&self, field: &str) -> bool {
        self.forms().iter().any(|form| form.has(field))
    }

    /// The first form that has a field of this name.
    pub fn form_with(&self, field: &str) -> Form {
        let found = self.forms().into_iter().find(|form| form.has(field));
        found.unwrap_or_else(|| panic!("{} ({}) has no form with `{field}`:\n{}", self.url, self.status, self.body))
    }

    /// The first form whose address ends with this path.
    pub fn form_to(&self, path: &str) -> Form {
        let found = self.forms().into_iter().find(|form| form.action.path().ends_with(path));
        found.unwrap_or_else(|| panic!("{} ({}) has no form to {path}:\n{}", self.url, self.status, self.body))
    }

    /// The address of the first link whose address contains this text.
    pub fn link(&self, part: &str) -> String {
        let links = Regex::new(r#"(?is)<a\s[^>]*?\bhref\s*=\s*"([^"]*)""#).unwrap();
        let found = links.captures_iter(&self.body).map(|link| text_of(&link[1])).find(|href| href.contains(part));
        found.unwrap_or_else(|| panic!("{} ({}) has no link to {part}:\n{}", self.url, self.status, self.body))
    }

    /// Where the page leads by itself, if it does; there is a link to the same place for those without patience.
    pub fn leads_on(&self) -> Option<String> {
        let found = Regex::new(r#"<meta http-equiv="refresh" content="0; url=([^"]+)">"#).unwrap();
        let found = found.captures(&self.body)?;
        assert!(self.body.contains(&format!(" href=\"{}\"", &found[1])), "{}", self.body);
        Some(text_of(&found[1]))
    }

    pub fn forms(&self) -> Vec<Form> {
        let forms = Regex::new(r"(?is)<form\b([^>]*)>(.*?)</form>").unwrap();
        let controls = Regex::new(r"(?is)<(input|button|select|textarea)\b([^>]*)>").unwrap();
        forms
            .captures_iter(&self.body)
            .map(|form| {
                let action = attribute(&form[1], "action").unwrap_or_default();
                let fields = controls
                    .captures_iter(&form[2])
                    .filter(|control| sent_as_it_is(&control[1], &control[2]))
                    .filter_map(|control| {
                        Some((attribute(&control[2], "name")?, attribute(&control[2], "value").unwrap_or_default()))
                    })
                    .collect();
                Form {
                    page: self.url.clone(),
                    action: self.url.join(&action).expect("a form has an address"),
                    post: attribute(&form[1], "method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
                    fields,
                }
            })
            .collect()
    }
}

/// Buttons are sent when pressed, boxes when ticked: [`Form::set`] adds them.
fn sent_as_it_is(element: &str, attributes: &str) -> bool {
    let kind = attribute(attributes, "type").unwrap_or_default().to_ascii_lowercase();
    let ticked = Regex::new(r"(?i)\bchecked\b").unwrap().is_match(attributes);
    match (element.to_ascii_lowercase().as_str(), kind.as_str()) {
        ("button", _) | ("input", "submit" | "button" | "image" | "reset" | "file") => false,
        ("input", "checkbox" | "radio") => ticked,
        _ => true,
    }
}

impl Form {
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }

    pub fn value(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// Fills a field in, or presses the button of that name.
    #[must_use]
    pub fn set(mut self, field: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(name, _)| name == field) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((field.to_owned(), value.to_owned())),
        }
        self
    }

    #[must_use]
    pub fn without(mut self, field: &str) -> Self {
        self.fields.retain(|(name, _)| name != field);
        self
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let pattern = format!(r#"(?is)(?:^|\s){name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))"#);
    let found = Regex::new(&pattern).unwrap().captures(tag)?;
    let value = found.iter().skip(1).flatten().next()?;
    Some(text_of(value.as_str()))
}

/// Text with its character references resolved, as far as they occur in attributes.
fn text_of(escaped: &str) -> String {
    let references = Regex::new(r"&(#x[0-9a-fA-F]+|#[0-9]+|[a-z]+);").unwrap();
    references
        .replace_all(escaped, |found: &regex::Captures<'_>| {
            let name = &found[1];
            let code = if let Some(hex) = name.strip_prefix("#x") {
                u32::from_str_radix(hex, 16).ok()
            } else if let Some(decimal) = name.strip_prefix('#') {
                decimal.parse().ok()
            } else {
                match name {
                    "amp" => Some('&' as u32),
                    "lt" => Some('<' as u32),
                    "gt" => Some('>' as u32),
                    "quot" => Some('"' as u32),
                    "apos" => Some('\'' as u32),
                    _ => None,
                }
            };
            code.and_then(char::from_u32).map_or_else(|| found[0].to_owned(), String::from)
        })
        .into_owned()
}

pub mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers every request with what it got, and sets three cookies.
    pub fn echo_server() -> Url {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/", socket.local_addr().unwrap())).unwrap();
        thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_err() {
                    continue;
                }
                let answer = format!("{head}\n{}", String::from_utf8_lossy(&body));
                let redirect = if head.starts_with("GET /away") { "Location: /here\r\n" } else { "" };
                let status = if redirect.is_empty() { "200 OK" } else { "303 See Other" };
                let _ = write!(
                    reader.get_mut(),
                    "HTTP/1.1 {status}\r\n{redirect}Set-Cookie: lax=1; Path=/; SameSite=Lax\r\nSet-Cookie: \
                     strict=1; SameSite=Strict\r\nSet-Cookie: none=1; SameSite=None\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{answer}",
                    answer.len()
                );
            }
        });
        url
    }

    fn page(body: &str) -> Page {
        Page {
            url: Url::parse("http://localhost:1/a/b").unwrap(),
            status: 200,
            headers: reqwest::header::HeaderMap::new(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn a_form_is_sent_as_a_browser_would_send_it() {
        let form = page(
            "<FORM method='post' action=\"c?x=1&amp;y=2\"><input name=a value=\"&lt;&#34;&#x27;\"><input type=checkbox \
             name=b value=1><input type=checkbox checked name=c value=2><button name=d value=3></form>",
        )
        .form_with("a");
        assert!(form.post);
        assert_eq!(form.action.as_str(), "http://localhost:1/a/c?x=1&y=2");
        assert_eq!(form.fields, [("a".to_owned(), "<\"'".to_owned()), ("c".to_owned(), "2".to_owned())]);
        assert_eq!(form.set("d", "3").value("d"), Some("3"));
    }

    #[tokio::test]
    async fn cookies_of_another_site_are_withheld_from_a_form_as_same_site_says() {
        let url = echo_server();
        let mut browser = Browser::new();
        browser.get(url.as_str()).await;
        let page = browser.get(url.join("away").unwrap().as_str()).await;
        assert!(
            page.body.starts_with("GET /here") && page.body.contains("cookie: lax=1; none=1; strict=1"),
            "{page:?}"
        );
        let mut form = Form { page: url.clone(), action: url.clone(), post: true, fields: Vec::new() };
        assert!(browser.submit(&form).await.body.contains("cookie: lax=1; none=1; strict=1"));
        form.page = Url::parse("http://idp.example/").unwrap();
        let foreign = browser.submit(&form).await.body;
        assert!(foreign.contains("cookie: none=1\r\n") && foreign.contains("sec-fetch-site: cross-site"), "{foreign}");
    }
}

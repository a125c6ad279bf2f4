//! A server for tests that answers what it was told to and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::access::{Permit, SessionTag};
use crate::aws::{RoleArn, SessionDuration};
use crate::identity::SubjectId;
use crate::saml::key::{KeySize, SigningKey};
use crate::sys::SeededRng;

pub(super) const NOW: &str = "2026-11-21T12:00:00Z";
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/teams/ReadOnly";

pub(super) static KEY: LazyLock<Arc<SigningKey>> = LazyLock::new(|| {
    let key = SigningKey::generate(KeySize::Rsa2048, "issuance", NOW.parse().unwrap(), &SeededRng::new(3)).unwrap();
    Arc::new(key)
});

pub(super) fn asha() -> SubjectId {
    SubjectId { connector: "okta".parse().unwrap(), value: "asha@corp.example".to_owned() }
}

pub(super) fn permit(duration: &str) -> Permit {
    let role: RoleArn = ROLE.parse().unwrap();
    let tags = vec![SessionTag { key: "team".to_owned(), value: "R&D <core>".to_owned(), transitive: false }];
    Permit::for_tests(asha(), &role, duration.parse().unwrap(), tags, None)
}

pub(super) fn hour() -> SessionDuration {
    SessionDuration::HOUR
}

/// One answer of the fake.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: u16,
    pub body: String,
    pub delay: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), delay: Duration::ZERO }
    }

    pub fn never() -> Self {
        Self { delay: Duration::from_secs(60), ..Self::new(200, "") }
    }

    /// STS's success, for a session that ends at `expiration`.
    pub fn credentials(expiration: &str) -> Self {
        Self::new(
            200,
            format!(
                r#"<AssumeRoleWithSAMLResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithSAMLResult>
    <AssumedRoleUser>
      <AssumedRoleId>AROAEXAMPLEEXAMPLE123:asha@corp.example</AssumedRoleId>
      <Arn>arn:aws:sts::111122223333:assumed-role/ReadOnly/asha@corp.example</Arn>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAEXAMPLEEXAMPLE12</AccessKeyId>
      <SecretAccessKey>secret/marker+marker</SecretAccessKey>
      <SessionToken>token/marker+marker==</SessionToken>
      <Expiration>{expiration}</Expiration>
    </Credentials>
  </AssumeRoleWithSAMLResult>
  <ResponseMetadata><RequestId>11111111-2222-3333-4444-555555555555</RequestId></ResponseMetadata>
</AssumeRoleWithSAMLResponse>
"#
            ),
        )
    }

    /// The success of another operation, with a key id of its own.
    pub fn of(operation: &str, key_id: &str, user: &str) -> Self {
        let mut reply = Self::credentials("2026-11-21T13:00:00Z");
        reply.body = reply.body.replace("AssumeRoleWithSAML", operation).replace("ASIAEXAMPLEEXAMPLE12", key_id);
        if operation == "GetFederationToken" {
            let (before, rest) = reply.body.split_once("<AssumedRoleUser>").unwrap();
            let after = rest.split_once("</AssumedRoleUser>").unwrap().1;
            reply.body = format!(
                "{before}<FederatedUser><FederatedUserId>111122223333:{user}</FederatedUserId>\
                 <Arn>arn:aws:sts::111122223333:federated-user/{user}</Arn></FederatedUser>\
                 <PackedPolicySize>12</PackedPolicySize>{after}"
            );
        }
        reply
    }

    /// STS's refusal.
    pub fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::new(
            status,
            format!(
                r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>99999999-2222-3333-4444-555555555555</RequestId></ErrorResponse>"#
            ),
        )
    }
}

/// Answers each connection with the next reply, the last one again and again, 32 times at most.
#[derive(Debug)]
pub(super) struct Fake {
    pub url: Url,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub async fn answering(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for turn in 0..32 {
                let Ok((stream, _)) = listener.accept().await else { return };
                let reply = replies[turn.min(replies.len() - 1)].clone();
                let seen = Arc::clone(&seen);
                tokio::spawn(serve(stream, reply, seen));
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, reply: Reply, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0_u8; 8192];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        request.extend_from_slice(&buffer[..count]);
        if count == 0 || is_whole(&request) {
            break;
        }
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    tokio::time::sleep(reply.delay).await;
    let head = format!(
        "HTTP/1.1 {} X\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\
         x-amzn-requestid: {}\r\nlocation: /moved\r\n\r\n",
        reply.status,
        reply.body.len(),
        // AWS gives the id in the body and in this header, and the SDK reads the header.
        reply.body.split("RequestId>").nth(1).map_or("none", |rest| rest.trim_end_matches("</")),
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(reply.body.as_bytes()).await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// The form fields of a recorded request.
pub(super) fn form(request: &str) -> std::collections::BTreeMap<String, String> {
    let body = request.split_once("\r\n\r\n").unwrap().1;
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

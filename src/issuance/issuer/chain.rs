//! A role that is reached over others.
//!
//! Each role on the way is assumed for the same person, under the same name, with the permit of the role at the end. What opens
//! the next one is held here for as long as that takes and given to nobody; a session policy lets it do nothing else, and it
//! lives as short as AWS allows. Nothing of it is kept: the next permit begins anew.
//!
//! The source identity is set where the chain begins, and AWS carries it on; so are the tags that go along.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{IssueError, Issued, Issuer, Passed, Step};
use crate::access::{Entry, Hop, Permit};
use crate::aws::{RoleArn, SessionDuration, SessionPolicy};
use crate::issuance::sts::{Answer, AssumeRole, Operation, StsError};

/// How long somebody waits for all steps together. Each has its own limit, as any call of STS.
const WHOLE: Duration = Duration::from_secs(45);

impl Issuer {
    /// From role to role. Of the last one the person is given credentials.
    pub(super) async fn go(&self, permit: &Arc<Permit>, entry: &Entry, hops: &[Hop]) -> Result<Issued, IssueError> {
        let deadline = Instant::now() + WHOLE;
        let of = hops.len() + 1;
        let at = |number: usize, role: &RoleArn| Step { number, of, role: role.clone() };
        let failed = |step: Step| move |error: IssueError| IssueError::OnTheWay { step, error: Box::new(error) };

        let next = hops.first().map_or_else(SessionPolicy::default, |hop| toward(&hop.role));
        let entry = Arc::new(entry.clone());
        let entering = self.enter(permit, &entry, SessionDuration::MIN, &next);
        let (mut held, proof) = timeout_at(deadline, entering)
            .await
            .unwrap_or_else(|_| Err(StsError::TimedOut.into()))
            .map_err(failed(at(1, &entry.role)))?;
        let mut passed = Vec::with_capacity(hops.len());
        let mut here = &entry.role;
        for (index, hop) in hops.iter().enumerate() {
            passed.push(Passed {
                role: here.clone(),
                access_key_id: held.credentials.access_key_id.clone(),
                region: held.region.clone(),
                request_id: held.request_id.clone(),
            });
            let next = hops.get(index + 1);
            let step = self.hop(permit, &held, hop, next);
            held = timeout_at(deadline, step)
                .await
                .unwrap_or(Err(StsError::TimedOut))
                .map_err(|error| failed(at(index + 2, &hop.role))(error.into()))?;
            here = &hop.role;
        }
        Ok(Issued { proof: Some(proof), passed, ..Issued::new(permit, permit.duration(), held) })
    }

    async fn hop(&self, permit: &Permit, held: &Answer, hop: &Hop, next: Option<&Hop>) -> Result<Answer, StsError> {
        let partition = hop.role.partition();
        let regions = self.parts.regions.in_order(partition, hop.region.as_ref());
        let on_the_way = next.map(|next| toward(&next.role));
        let operation = AssumeRole {
            credentials: &held.credentials,
            role: &hop.role,
            session_name: permit.session_name(),
            external_id: hop.external_id.as_ref(),
            tags: &hop.tags,
            duration: if next.is_some() { SessionDuration::MIN } else { permit.duration() },
            session_policy: on_the_way.as_ref().unwrap_or_else(|| permit.session_policy()),
        };
        self.parts.sts.ask(Operation::AssumeRole(operation), partition, &regions).await
    }
}

/// Nothing but going on to this role.
fn toward(role: &RoleArn) -> SessionPolicy {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Resource": role.to_string(),
        },
    });
    let document = document.to_string().parse().expect("a role's ARN leaves room in a session policy");
    SessionPolicy::new(Some(document), Vec::new()).expect("and it stands alone")
}

//! Credentials for programs: those there are, where there are any.
//!
//! Every delivery is decided on anew and recorded before it leaves, whether or not STS is called for it. The decision's
//! permit is spent either way: at STS, or on a set that was issued under equal terms.

use std::sync::Arc;
use std::time::Duration;

use super::{Issue, IssueFlowError, Wish, because_of, has_mfa, object};
use crate::access::Denied;
use crate::audit::Kind;
use crate::flows::Caller;
use crate::flows::current::Loaded;
use crate::flows::figures::Met;
use crate::issuance::cache::{Failed, Kept, Lead, Turn};
use crate::issuance::{Issued, StsError};
use crate::store::StoreError;

/// Whoever could be given a set that is still good waits no longer for a newer one: SDKs give up after two seconds.
const PATIENCE: Duration = Duration::from_secs(1);

impl Issue {
    /// Obtains credentials: those that are kept for such a wish, or new ones. A [fresh](Wish::fresh) wish is not met from
    /// what is kept, nor is what it brings kept.
    ///
    /// # Errors
    /// [`IssueFlowError`]. Denials and failures are recorded.
    pub async fn credentials(&self, mut wish: Wish, caller: Caller) -> Result<Arc<Issued>, IssueFlowError> {
        wish.came_from(&caller);
        let person = wish.identity.person();
        if wish.fresh {
            self.allowance.issue(&person)?;
            let flow = self.clone();
            // What was begun with an intent ends with an outcome.
            let obtaining =
                self.ground.tasks.uninterrupted(async move { flow.obtain(&wish, &caller).await.map(Arc::new) });
            return obtaining.await.unwrap_or(Err(IssueFlowError::Interrupted));
        }
        self.allowance.deliver(&person)?;
        let permit = self.decide(&wish, &caller).await?;
        let asked = || (Arc::clone(&wish.identity), wish.asked.clone());
        let now = self.ground.clock.now();
        // Whoever brings no code may have what there is, and begins nothing new.
        let mfa = has_mfa(&permit, &wish);
        let afford = || mfa.and_then(|()| self.allowance.issue(&person).map_err(IssueFlowError::from));
        match self.ground.kept.turn(permit, asked, now, afford)? {
            Turn::Deliver(kept) => {
                self.ground.figures.wish(Met::Kept);
                self.hand_over(kept, &wish, &caller).await
            }
            Turn::Wait { lead, flight, meanwhile } => {
                let leads = lead.is_some();
                self.ground.figures.wish(if leads { Met::Led } else { Met::Waited });
                if let Some(lead) = lead {
                    // It goes on when this client hangs up: others wait for it too.
                    let (flow, wish, caller) = (self.clone(), wish.clone(), caller.clone());
                    self.ground.tasks.begin(async move { flow.fly(lead, &wish, &caller).await });
                }
                let landed = match &meanwhile {
                    Some(_) => tokio::time::timeout(PATIENCE, flight.landed()).await.ok(),
                    None => Some(flight.landed().await),
                };
                match (landed, meanwhile) {
                    // What was issued for this very request is on record as such.
                    (Some(Some(Ok(new))), _) if leads => Ok(Arc::clone(new.issued())),
                    (Some(Some(Ok(new))), _) => self.hand_over(new, &wish, &caller).await,
                    (Some(Some(Err(error))), Some(_)) if !is_temporary(&error) => {
                        self.fail(&error, leads, &wish, &caller).await
                    }
                    (_, Some(kept)) => self.hand_over(kept, &wish, &caller).await,
                    (Some(Some(Err(error))), None) => self.fail(&error, leads, &wish, &caller).await,
                    (_, None) => Err(IssueFlowError::Interrupted),
                }
            }
        }
    }

    /// Takes a permit to STS for all who wait.
    async fn fly(&self, lead: Box<Lead<Arc<IssueFlowError>>>, wish: &Wish, caller: &Caller) {
        let Lead { permit, not_before, landing } = *lead;
        if let Some(not_before) = not_before {
            tokio::time::sleep_until(not_before).await;
        }
        let outcome = match self.exchange(permit, wish, caller).await {
            Ok(issued) => Ok((Arc::new(issued), Arc::from(caller.request_id.as_str()))),
            Err(error) => Err(Failed { temporary: is_temporary(&error), error: Arc::new(error) }),
        };
        landing.land(outcome, self.ground.clock.now());
    }

    /// Delivers a set that was issued for an earlier request.
    async fn hand_over(&self, kept: Kept, wish: &Wish, caller: &Caller) -> Result<Arc<Issued>, IssueFlowError> {
        let (issued, terms) = (kept.issued(), kept.terms());
        let event = self
            .about(Kind::IssueReused, wish, caller)
            .with("role", terms.role().to_string())
            .with("rule", terms.rule())
            .with("because", object(terms.because()))
            .with("access_key_id", issued.credentials().access_key_id.as_str())
            .with("expires", issued.credentials().expiration.to_string())
            .with("issue", kept.reference())
            .with("method", issued.method())
            .with_some("assumed_role", issued.principal_arn());
        self.ground.record(&event).await?;
        Ok(Arc::clone(issued))
    }

    /// Nothing came of the flight this request waited for. The flight has recorded that for its own request; each of the
    /// others leaves an event too.
    async fn fail(
        &self,
        error: &Arc<IssueFlowError>,
        leads: bool,
        wish: &Wish,
        caller: &Caller,
    ) -> Result<Arc<Issued>, IssueFlowError> {
        match &**error {
            IssueFlowError::Issue(cause) => {
                if !leads {
                    let event = self
                        .about(Kind::IssueFailed, wish, caller)
                        .with("account", wish.asked.account.as_str())
                        .with("role_name", wish.asked.role.as_str());
                    self.ground.record(&because_of(event, cause)).await?;
                }
                Err(IssueFlowError::Issue(Arc::clone(cause)))
            }
            IssueFlowError::Store(cause) => Err(IssueFlowError::Store(Arc::clone(cause))),
            _ => Err(IssueFlowError::Interrupted),
        }
    }

    /// Where the catalog has changed, drops what it no longer permits. Deliveries do not depend on it: each is decided on anew.
    pub(super) fn review(&self, loaded: &Arc<Loaded>) {
        if self.ground.kept.is_news(loaded.revision) {
            let (kept, loaded, now) = (self.ground.kept.clone(), Arc::clone(loaded), self.ground.clock.now());
            self.ground.tasks.begin_blocking(move || kept.review(&loaded.policy, now));
        }
    }

    /// Whoever may not use the role at all any more has no use for what is kept. A token that is limited, or a person
    /// who has to sign in again, says nothing about the person's other programs.
    pub(super) fn drop_what_is_lost(&self, wish: &Wish, denied: &Denied) {
        match denied {
            Denied::ConnectorGone { .. } | Denied::ConnectorDisabled { .. } => {
                self.ground.kept.forget(&wish.identity.subject);
            }
            Denied::NoSuchRole { .. } | Denied::NotGranted { .. } => {
                self.ground.kept.forget_role(&wish.identity.subject, wish.asked.account, &wish.asked.role);
            }
            Denied::OutOfScope { .. }
            | Denied::StepUp { .. }
            | Denied::Limits { .. }
            | Denied::NoSessionPolicy { .. }
            | Denied::IdpSessionEnding { .. } => {}
        }
    }

    /// Drops what has expired, what a changed catalog no longer permits, and what belongs to those whose session or token was
    /// ended by another process since the event `heard`. Says up to which event it has heard.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn tidy(&self, heard: Option<i64>) -> Result<i64, StoreError> {
        self.ground.kept.forget_expired(self.ground.clock.now());
        let Some(heard) = heard else { return Ok(self.ground.store.audit_head().await?.seq) };
        self.review(&self.catalog.get().await?);
        let (left, heard) = self.ground.store.departures_after(heard).await?;
        for subject in left.iter().filter_map(|subject| subject.parse().ok()) {
            self.ground.kept.forget(&subject);
        }
        Ok(heard)
    }
}

/// Whether it says nothing against the set there is: nobody answered, or we could not go on ourselves.
fn is_temporary(error: &IssueFlowError) -> bool {
    match error {
        IssueFlowError::Issue(error) => error.sts().is_some_and(StsError::is_temporary),
        IssueFlowError::Store(_) | IssueFlowError::Interrupted => true,
        _ => false,
    }
}

//! A role asks for a more recent or stronger sign-in than the session's: the click is kept, the person goes through
//! their identity provider, and the very click is made again.
//!
//! What is kept opens nothing by itself: it counts for one person in one browser, once, and the role is decided on anew
//! when the click is made again.

use jiff::{SignedDuration, Timestamp};

use super::sessions::LiveSession;
use super::start_sign_in::{StartError, StartSignIn, Started};
use super::{Caller, Ground};
use crate::audit::{Event, Kind};
use crate::store::StoreError;
use crate::store::clicks::{self, Click, PendingClick};
use crate::sys::{LocalPath, Token};

/// How long a click waits.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Keeps clicks, and gives them back.
#[derive(Debug, Clone)]
pub struct StepUp {
    pub ground: Ground,
    pub start: StartSignIn,
}

/// A click that was kept.
#[derive(Debug)]
pub struct Kept {
    /// Stands in the address of what comes next.
    pub id: Token,
    /// The cookie of the browser it is bound to.
    pub browser: Token,
}

/// What comes after the page that asked.
#[derive(Debug)]
pub enum Next {
    /// To the identity provider.
    SignIn(Started),
    /// The role asks for nothing any more.
    Continue(LocalPath),
}

/// Why the click is not made again.
#[derive(Debug, thiserror::Error)]
pub enum StepUpError {
    #[error("the click is unknown, was made again already, or has expired")]
    Gone,
    #[error("the click was made in another browser")]
    OtherBrowser,
    #[error("the click was made by somebody else")]
    OtherPerson,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a kept click goes on.
fn continue_at(id: &Token) -> LocalPath {
    LocalPath::parse_or_home(Some(&format!("/continue/{}", id.expose_secret())))
}

impl StepUp {
    /// Keeps a click.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn keep(&self, session: &LiveSession, browser: Option<Token>, click: Click) -> Result<Kept, StoreError> {
        let (rng, now) = (&*self.ground.rng, self.ground.clock.now());
        let id = Token::generate(rng);
        let browser = browser.unwrap_or_else(|| Token::generate(rng));
        let pending = PendingClick {
            browser: browser.hash(),
            person: session.identity.person(),
            click,
            expires: now.checked_add(PATIENCE).unwrap_or(Timestamp::MAX),
        };
        self.ground.store.add_click(&id.hash(), &pending).await?;
        Ok(Kept { id, browser })
    }

    /// Sends the person through the connector they came by, asking for what the role asks for now.
    ///
    /// # Errors
    /// [`StepUpError`]. A click of somebody else or of another browser is recorded.
    pub async fn begin(
        &self,
        session: &LiveSession,
        id: &Token,
        browser: Option<&Token>,
        caller: &Caller,
    ) -> Result<Next, StepUpError> {
        let now = self.ground.clock.now();
        let pending = self.ground.store.peek_click(&id.hash()).await?;
        let click = match judge(pending, session, browser, caller, now) {
            Ok(click) => click,
            Err(refused) => {
                if let Some(event) = &refused.event {
                    self.ground.record(event).await?;
                }
                return Err(refused.error);
            }
        };
        let loaded = self.start.catalog.get().await?;
        let identity = &session.identity;
        let decision = loaded.policy.decide(identity);
        let asked = decision.role(click.account, &click.role).and_then(|access| {
            access.unmet(&identity.authentication, now)?;
            access.demand().cloned()
        });
        // Nothing is asked any more, or it was given in another window; or the role is gone, which the click will find.
        let Some(demand) = asked else { return Ok(Next::Continue(continue_at(id))) };
        let there = continue_at(id);
        Ok(Next::SignIn(self.start.again(identity, &there, browser.cloned(), Some(demand), caller).await?))
    }

    /// Gives a click back, once.
    ///
    /// # Errors
    /// [`StepUpError`]; the click is gone, and when it was somebody else's or another browser's, that is recorded.
    pub async fn resume(
        &self,
        session: &LiveSession,
        id: &Token,
        browser: Option<&Token>,
        caller: &Caller,
    ) -> Result<Click, StepUpError> {
        let now = self.ground.clock.now();
        let mut tx = self.ground.store.begin().await?;
        let pending = clicks::take_click(&mut tx, &id.hash()).await?;
        let judged = judge(pending, session, browser, caller, now);
        if let Err(refused) = &judged
            && let Some(event) = &refused.event
        {
            self.ground.append(&mut tx, event).await?;
        }
        // The click is gone whatever comes of it.
        tx.commit().await.map_err(StoreError::from)?;
        judged.map_err(|refused| refused.error)
    }
}

/// A click that is not given back, and what is recorded about that.
struct Refused {
    error: StepUpError,
    event: Option<Event>,
}

/// Whether the click still waits and is this person's in this browser.
fn judge(
    pending: Option<PendingClick>,
    session: &LiveSession,
    browser: Option<&Token>,
    caller: &Caller,
    now: Timestamp,
) -> Result<Click, Box<Refused>> {
    let waiting = pending.filter(|pending| now < pending.expires);
    let pending = waiting.ok_or_else(|| Box::new(Refused { error: StepUpError::Gone, event: None }))?;
    let same_browser = browser.is_some_and(|browser| browser.is(&pending.browser));
    let (error, cause) = if !same_browser {
        (StepUpError::OtherBrowser, "click-of-other-browser")
    } else if pending.person != session.identity.person() {
        (StepUpError::OtherPerson, "click-of-other-person")
    } else {
        return Ok(pending.click);
    };
    let event = caller
        .event(Kind::AccessRefused)
        .about(&session.identity.subject)
        .with("account", pending.click.account.as_str())
        .with("role_name", pending.click.role.as_str())
        .with("clicked_by", pending.person.to_string())
        .with("cause", cause);
    Err(Box::new(Refused { error, event: Some(event) }))
}

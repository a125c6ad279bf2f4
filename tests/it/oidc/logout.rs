//! The provider tells by the back channel that somebody has signed out there.

use serde_json::json;

use super::Company;
use crate::sign_in::is_signed_in;

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_name_sessions_ends_all_of_the_persons() {
    let company = Company::with("").await;
    company.registered(json!({ "backchannel_logout_session_required": false })).await;
    let (mut desk, mut phone) = (company.signed_in("bob").await, company.signed_in("bob").await);
    let mut alice = company.signed_in("alice").await;
    let asks = desk.get(&format!("{}/session/end", company.peer.issuer())).await;
    desk.submit(&asks.form_with("logout").set("logout", "yes")).await;
    assert!(!is_signed_in(&company.broker, &mut desk).await);
    assert!(!is_signed_in(&company.broker, &mut phone).await);
    assert!(is_signed_in(&company.broker, &mut alice).await, "she is somebody else");
}

//! The documents and keys of a connector for workloads.

use super::oidc::{algorithms, examine_keys};
use super::{Doctor, Findings, clock, listed, told};
use crate::catalog::{Connector, KeySource, WorkloadConnector};
use crate::flows::connectors::oidc::SLOWEST;
use crate::flows::connectors::workload::{is_of_use, reach};
use crate::signin::oidc::{IssuerMetadata, Keys, ProviderMetadata, discovery_url};
use crate::store::StoreError;

impl Doctor {
    pub(super) async fn examine_workload(
        &self,
        connector: &Connector,
        workload: &WorkloadConnector,
        found: &mut Findings,
    ) -> Result<(), StoreError> {
        found.ok("issuer", format!("tokens have to say that they are from {}", workload.issuer));
        requirements(workload, found);
        let first = match &workload.keys {
            KeySource::Inline(jwks) => {
                found.ok("clock", "nothing is fetched from this issuer, so the clocks cannot be compared");
                keys(Keys::read(jwks.as_bytes()).map_err(|error| told(&error)), workload, "", found);
                return Ok(());
            }
            KeySource::Url(url) => url.as_url().clone(),
            KeySource::Discovery => discovery_url(&workload.issuer),
        };
        let kept = self.ground.store.fetched_metadata(&connector.id).await?;
        let kept = kept.filter(|kept| kept.url == first.as_str() && is_of_use(&connector.id, workload, &kept.document));
        let goes_on = match kept {
            Some(kept) => format!("; until then exchanges go on with the broker's copy of {:.0}", kept.fetched),
            None => String::new(),
        };
        let discovered = workload.keys == KeySource::Discovery;
        let check = if discovered { "discovery" } else { "jwks" };
        let limit = if discovered { ProviderMetadata::MAX_BYTES } else { Keys::MAX_BYTES };
        let sent = self.ground.clock.now();
        let asked = self.http.ask(reach(workload), &first, limit, SLOWEST).await;
        let came = self.ground.clock.now();
        let advice = format!(
            "check the issuer, and whether this machine may call it; where it cannot, give its keys in jwks_file{goes_on}"
        );
        let answer = match asked {
            Err(error) => {
                found.fail(check, told(&error), advice);
                return Ok(());
            }
            Ok(answer) => answer,
        };
        clock::examine(answer.date, sent, came, workload.clock_skew, found);
        if answer.status != 200 {
            found.fail(check, format!("{first} answered with status {}", answer.status), advice);
            return Ok(());
        }
        if !discovered {
            keys(Keys::read(&answer.body).map_err(|error| told(&error)), workload, &goes_on, found);
            return Ok(());
        }
        let issuer = match IssuerMetadata::read(&answer.body, &workload.issuer) {
            Ok(issuer) => issuer,
            Err(error) => {
                found.fail(check, told(&error), format!("write the issuer exactly as it calls itself{goes_on}"));
                return Ok(());
            }
        };
        found.ok(check, format!("{first} answered in {} ms", came.duration_since(sent).as_millis()));
        algorithms(&issuer.signing_algorithms, &workload.signing_algorithms, found);
        let url = &issuer.jwks_uri;
        let asked = self.http.ask(reach(workload), url, Keys::MAX_BYTES, SLOWEST).await;
        let read = match asked {
            Err(error) => Err(told(&error)),
            Ok(answer) if answer.status != 200 => Err(format!("{url} answered with status {}", answer.status)),
            Ok(answer) => Keys::read(&answer.body).map_err(|error| told(&error)),
        };
        keys(read, workload, &goes_on, found);
        Ok(())
    }
}

fn keys(read: Result<Keys, String>, workload: &WorkloadConnector, goes_on: &str, found: &mut Findings) {
    match read {
        Ok(keys) => examine_keys(&keys, &workload.signing_algorithms, found),
        Err(detail) => found.fail("jwks", detail, format!("no token can be checked without it{goes_on}")),
    }
}

fn requirements(workload: &WorkloadConnector, found: &mut Findings) {
    let required = workload.require.iter().map(|(attribute, any)| format!("{attribute}: {any}"));
    found.ok("require", format!("required of every token: {}", listed(required)));
    found.ok(
        "reuse",
        if workload.once {
            "each token counts for one exchange"
        } else {
            "a token may be exchanged until it expires or is too old (once = true changes that)"
        },
    );
}

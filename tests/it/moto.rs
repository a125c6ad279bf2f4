//! The whole broker with an STS that is not ours.

use serde_json::Value;

use crate::broker::Broker;
use crate::peers::{AwsKeys, Moto, get_caller_identity};
use crate::sandboxed::Sandboxed;

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_and_gets_keys_from_an_sts_that_is_not_ours() {
    let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
    // The sandbox is only the identity provider here.
    let world = Sandboxed::with(Broker::wishes().set("aws.sts_endpoint", moto.endpoint().as_str())).await;
    let lin = world.sign_in_as("lin").await;
    let answer = lin
        .program_post(
            "/roles/111122223333/teams/payments/Deploy/credentials",
            &[("format", "json"), ("duration", "2h")],
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json: Value = answer.json();
    assert_eq!(world.aws.wire.sts_calls(), 0);

    let event = world.broker.last_event("issue.succeeded").await;
    assert_eq!(event["access_key_id"], json["AccessKeyId"]);
    assert_eq!(event["assumed_role"], "arn:aws:sts::111122223333:assumed-role/Deploy/lin.wei@larkspur.example");
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    let keys = AwsKeys {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: text("SessionToken"),
    };
    let identity = tokio::task::spawn_blocking(move || get_caller_identity(&moto.endpoint(), &keys)).await.unwrap();
    assert_eq!(identity["Account"], "111122223333");
}

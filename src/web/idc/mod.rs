//! IAM Identity Center's client protocol, as far as the AWS CLI, SDKs and IDE toolkits speak it.
//!
//! Spec: the public service models `sso` and `sso-oidc`, both 2019-06-10, REST-JSON. None of these calls is signed.

pub mod portal;
pub mod sign_in;

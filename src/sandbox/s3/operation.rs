//! What is asked of S3, which permission it needs, and what happens when it is there.

use super::body::Upload;
use super::error::S3Error;
use super::store::{BucketLine, Listing, Object, Page};
use crate::aws::{AccountId, Partition};
use crate::sandbox::State;
use crate::sandbox::authorize::{self, Answer};
use crate::sandbox::policy::Context;
use crate::sandbox::sts::Caller;

/// A request, understood.
#[derive(Debug)]
pub enum Operation {
    ListBuckets,
    HeadBucket { bucket: String },
    GetBucketLocation { bucket: String },
    ListObjects { bucket: String, listing: Listing },
    GetObject { bucket: String, key: String },
    HeadObject { bucket: String, key: String },
    PutObject { bucket: String, key: String, write: Write },
    CopyObject { bucket: String, key: String, from: (String, String), write: Write },
    DeleteObject { bucket: String, key: String },
}

/// What is written beside the bytes.
#[derive(Debug, Default)]
pub struct Write {
    pub upload: Option<Upload>,
    pub content_type: Option<String>,
    pub metadata: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    Buckets(Vec<BucketLine>),
    Bucket { region: String },
    Objects(Page),
    Object(Object),
    Written(Object),
    Deleted,
}

/// Who asks, from where.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub caller: &'a Caller,
    /// What every request knows: address, region, time.
    pub context: &'a Context,
    pub now: jiff::Timestamp,
}

impl Operation {
    /// As it is counted, and as a fault names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ListBuckets => "ListBuckets",
            Self::HeadBucket { .. } => "HeadBucket",
            Self::GetBucketLocation { .. } => "GetBucketLocation",
            Self::ListObjects { .. } => "ListObjects",
            Self::GetObject { .. } => "GetObject",
            Self::HeadObject { .. } => "HeadObject",
            Self::PutObject { .. } => "PutObject",
            Self::CopyObject { .. } => "CopyObject",
            Self::DeleteObject { .. } => "DeleteObject",
        }
    }

    fn bucket(&self) -> Option<&str> {
        match self {
            Self::ListBuckets => None,
            Self::HeadBucket { bucket }
            | Self::GetBucketLocation { bucket }
            | Self::ListObjects { bucket, .. }
            | Self::GetObject { bucket, .. }
            | Self::HeadObject { bucket, .. }
            | Self::PutObject { bucket, .. }
            | Self::CopyObject { bucket, .. }
            | Self::DeleteObject { bucket, .. } => Some(bucket),
        }
    }

    /// The bucket that is copied from.
    fn source(&self) -> Option<&str> {
        match self {
            Self::CopyObject { from: (bucket, _), .. } => Some(bucket),
            Self::ListBuckets
            | Self::HeadBucket { .. }
            | Self::GetBucketLocation { .. }
            | Self::ListObjects { .. }
            | Self::GetObject { .. }
            | Self::HeadObject { .. }
            | Self::PutObject { .. }
            | Self::DeleteObject { .. } => None,
        }
    }

    /// What has to be allowed: actions, each with a resource and what the request says about it.
    #[must_use]
    pub fn permissions(&self, partition: Partition) -> Vec<(&'static str, String, Context)> {
        let of_bucket = |bucket: &str| format!("arn:{partition}:s3:::{bucket}");
        let of_object = |bucket: &str, key: &str| format!("arn:{partition}:s3:::{bucket}/{key}");
        let plain = |action, resource| vec![(action, resource, Context::default())];
        match self {
            Self::ListBuckets => plain("s3:ListAllMyBuckets", of_bucket("*")),
            Self::HeadBucket { bucket } => plain("s3:ListBucket", of_bucket(bucket)),
            Self::GetBucketLocation { bucket } => plain("s3:GetBucketLocation", of_bucket(bucket)),
            Self::ListObjects { bucket, listing } => {
                let mut context = Context::default();
                context.set("s3:prefix", listing.prefix.as_str());
                context.set("s3:max-keys", listing.max_keys.to_string());
                if !listing.delimiter.is_empty() {
                    context.set("s3:delimiter", listing.delimiter.as_str());
                }
                vec![("s3:ListBucket", of_bucket(bucket), context)]
            }
            Self::GetObject { bucket, key } | Self::HeadObject { bucket, key } => {
                plain("s3:GetObject", of_object(bucket, key))
            }
            Self::PutObject { bucket, key, .. } => plain("s3:PutObject", of_object(bucket, key)),
            Self::CopyObject { bucket, key, from: (from, from_key), .. } => {
                let mut both = plain("s3:GetObject", of_object(from, from_key));
                both.extend(plain("s3:PutObject", of_object(bucket, key)));
                both
            }
            Self::DeleteObject { bucket, key } => plain("s3:DeleteObject", of_object(bucket, key)),
        }
    }
}

/// Decides, and does it. Gives the decisions too, one for each permission that was needed and asked for.
pub fn perform(state: &State, asker: Asker<'_>, operation: Operation) -> (Vec<Answer>, Result<Outcome, S3Error>) {
    let mut decisions = Vec::new();
    let outcome =
        permitted(state, asker, &operation, &mut decisions).and_then(|account| run(state, asker, operation, account));
    (decisions, outcome)
}

/// # Errors
/// The bucket is not there, or the caller may not do this. Gives the account whose buckets are spoken of.
fn permitted(
    state: &State,
    asker: Asker<'_>,
    operation: &Operation,
    decisions: &mut Vec<Answer>,
) -> Result<AccountId, S3Error> {
    let partition = asker.caller.partition();
    let owner_of = |bucket: &str| state.buckets.bucket(partition, bucket).map(|(account, _)| account);
    let owner = operation.bucket().map(owner_of).transpose()?.unwrap_or_else(|| asker.caller.account());
    let source = operation.source().map(owner_of).transpose()?;
    for (action, resource, more) in operation.permissions(partition) {
        decisions.push(ask(state, asker, action, &resource, more)?);
    }
    // There are no bucket policies here, and without one nobody from elsewhere gets in.
    if let Some((action, resource, _)) = operation.permissions(partition).into_iter().next()
        && [Some(owner), source].into_iter().flatten().any(|owner| owner != asker.caller.account())
    {
        return Err(S3Error::denied_across_accounts(&asker.caller.arn(), action, &resource));
    }
    Ok(owner)
}

fn ask(state: &State, asker: Asker<'_>, action: &str, resource: &str, more: Context) -> Result<Answer, S3Error> {
    let mut context = asker.context.clone();
    context.extend(more);
    let explanation = authorize::allowed(&state.iam.now(), &asker.caller.bearer(), action, resource, &context);
    if let Some(answer) = explanation.denied() {
        return Err(S3Error::denied(&asker.caller.arn(), answer));
    }
    explanation.answers.into_iter().next().ok_or_else(|| S3Error::internal("a decision without an answer"))
}

fn run(state: &State, asker: Asker<'_>, operation: Operation, account: AccountId) -> Result<Outcome, S3Error> {
    let buckets = &state.buckets;
    // Whoever may not list must not learn what is not there.
    let existing = |bucket: &str, key: &str| match buckets.get(bucket, key) {
        Some(object) => Ok(object),
        None => {
            let resource = format!("arn:{}:s3:::{bucket}", asker.caller.partition());
            ask(state, asker, "s3:ListBucket", &resource, Context::default())?;
            Err(S3Error::no_such_key(key))
        }
    };
    match operation {
        Operation::ListBuckets => Ok(Outcome::Buckets(buckets.of_account(account))),
        Operation::HeadBucket { bucket } | Operation::GetBucketLocation { bucket } => {
            Ok(Outcome::Bucket { region: buckets.bucket(asker.caller.partition(), &bucket)?.1 })
        }
        Operation::ListObjects { bucket, listing } => buckets.list(&bucket, &listing).map(Outcome::Objects),
        Operation::GetObject { bucket, key } | Operation::HeadObject { bucket, key } => {
            existing(&bucket, &key).map(Outcome::Object)
        }
        Operation::PutObject { bucket, key, write } => {
            let upload = write.upload.ok_or_else(S3Error::incomplete_body)?;
            let object = Object {
                content_type: write.content_type,
                metadata: write.metadata,
                checksum: upload.checksum,
                ..Object::new(upload.object, asker.now)?
            };
            buckets.put(&bucket, &key, object.clone())?;
            Ok(Outcome::Written(object))
        }
        Operation::CopyObject { bucket, key, from: (from, from_key), write } => {
            let mut object = Object { modified: asker.now, ..existing(&from, &from_key)? };
            if !write.metadata.is_empty() {
                object.metadata = write.metadata;
            }
            buckets.put(&bucket, &key, object.clone())?;
            Ok(Outcome::Written(object))
        }
        Operation::DeleteObject { bucket, key } => {
            buckets.delete(&bucket, &key);
            Ok(Outcome::Deleted)
        }
    }
}

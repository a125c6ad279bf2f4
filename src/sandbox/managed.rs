//! Managed policies of AWS: the ones people name most, in small.
//!
//! The real documents list thousands of actions and change every week. These say the same with wildcards, for the
//! services that can be tried here and their neighbours; a name that is not here is not known.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::policy::{Policy, PolicyKind};
use crate::aws::Partition;

/// Path and name, and the document.
const DOCUMENTS: [(&str, &str); 17] = [
    (
        "root-task/IAMAuditRootUserCredentials",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetAccessKeyLastUsed",
            "iam:GetAccountSummary","iam:GetLoginProfile","iam:GetUser","iam:ListAccessKeys","iam:ListMFADevices",
            "iam:ListSigningCertificates"],"Resource":"*"}]}"#,
    ),
    (
        "root-task/IAMCreateRootUserPassword",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:CreateLoginProfile",
            "iam:GetLoginProfile"],"Resource":"*"}]}"#,
    ),
    (
        "root-task/IAMDeleteRootUserCredentials",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:DeactivateMFADevice",
            "iam:DeleteAccessKey","iam:DeleteLoginProfile","iam:DeleteSigningCertificate","iam:GetLoginProfile",
            "iam:ListAccessKeys","iam:ListMFADevices","iam:ListSigningCertificates"],"Resource":"*"}]}"#,
    ),
    (
        "root-task/S3UnlockBucketPolicy",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:DeleteBucketPolicy",
            "s3:GetBucketPolicy","s3:ListAllMyBuckets","s3:PutBucketPolicy"],"Resource":"*"}]}"#,
    ),
    (
        "root-task/SQSUnlockQueuePolicy",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:GetQueueAttributes",
            "sqs:GetQueueUrl","sqs:ListQueues","sqs:SetQueueAttributes"],"Resource":"*"}]}"#,
    ),
    ("AdministratorAccess", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#),
    (
        "PowerUserAccess",
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},
            {"Effect":"Allow","Action":["account:GetAccountInformation","account:ListRegions","iam:ListRoles",
             "iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole","organizations:DescribeOrganization"],"Resource":"*"}]}"#,
    ),
    (
        "ReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
            "cloudformation:Describe*","cloudformation:Get*","cloudformation:List*",
            "cloudtrail:Describe*","cloudtrail:Get*","cloudtrail:List*","cloudtrail:LookupEvents",
            "cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*",
            "dynamodb:BatchGet*","dynamodb:Describe*","dynamodb:Get*","dynamodb:List*","dynamodb:Query","dynamodb:Scan",
            "ec2:Describe*","ec2:Get*","ec2:Search*",
            "iam:Generate*","iam:Get*","iam:List*","iam:Simulate*",
            "kms:Describe*","kms:Get*","kms:List*",
            "lambda:Get*","lambda:List*",
            "logs:Describe*","logs:FilterLogEvents","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery",
            "rds:Describe*","rds:List*",
            "s3:DescribeJob","s3:Get*","s3:List*",
            "sns:Get*","sns:List*","sqs:Get*","sqs:List*","sqs:Receive*",
            "sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken","tag:Get*"],"Resource":"*"}]}"#,
    ),
    (
        "job-function/ViewOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
            "cloudformation:DescribeStacks","cloudformation:List*","cloudtrail:DescribeTrails","cloudtrail:LookupEvents",
            "cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","dynamodb:List*",
            "ec2:Describe*","iam:GetAccountSummary","iam:List*","kms:List*","lambda:List*","logs:Describe*",
            "rds:Describe*","s3:ListAllMyBuckets","s3:ListBucket","sns:List*","sqs:List*"],"Resource":"*"}]}"#,
    ),
    (
        "SecurityAudit",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
            "access-analyzer:Get*","access-analyzer:List*","cloudtrail:Describe*","cloudtrail:Get*","cloudtrail:List*",
            "cloudtrail:LookupEvents","config:Describe*","config:Get*","config:List*","ec2:Describe*",
            "guardduty:Get*","guardduty:List*","iam:Generate*","iam:Get*","iam:List*","iam:Simulate*",
            "kms:Describe*","kms:Get*","kms:List*","logs:Describe*","rds:Describe*",
            "s3:GetAccountPublicAccessBlock","s3:GetBucket*","s3:GetEncryptionConfiguration","s3:GetLifecycleConfiguration",
            "s3:GetObjectAcl","s3:GetReplicationConfiguration","s3:ListAllMyBuckets","securityhub:Get*","securityhub:List*",
            "sns:Get*","sns:List*","sqs:GetQueueAttributes","sqs:List*","tag:Get*"],"Resource":"*"}]}"#,
    ),
    (
        "job-function/Billing",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
            "account:GetAccountInformation","aws-portal:*","billing:*","budgets:*","ce:*","cur:*","invoicing:*",
            "payments:*","tax:*"],"Resource":"*"}]}"#,
    ),
    (
        "job-function/SupportUser",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
            "support:*","cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","ec2:Describe*","health:Describe*",
            "logs:Describe*","s3:ListAllMyBuckets"],"Resource":"*"}]}"#,
    ),
    (
        "AmazonS3FullAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}"#,
    ),
    (
        "AmazonS3ReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*",
            "s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}"#,
    ),
    (
        "IAMReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport",
            "iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy",
            "iam:SimulatePrincipalPolicy"],"Resource":"*"}]}"#,
    ),
    (
        "IAMFullAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*",
            "organizations:DescribeAccount","organizations:DescribeOrganization","organizations:List*"],"Resource":"*"}]}"#,
    ),
    (
        "AWSDenyAll",
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"DenyAll","Effect":"Deny","Action":"*","Resource":"*"}]}"#,
    ),
];

/// A document of AWS, read.
#[derive(Debug)]
pub struct AwsManaged {
    /// Path and name, as they stand in the ARN.
    pub name: &'static str,
    pub document: &'static str,
    pub policy: Policy,
}

static POLICIES: LazyLock<BTreeMap<&'static str, AwsManaged>> = LazyLock::new(|| {
    DOCUMENTS
        .into_iter()
        .map(|(name, document)| {
            let policy = Policy::parse(PolicyKind::Identity, document).expect("a test reads every document");
            (name, AwsManaged { name, document, policy })
        })
        .collect()
});

/// By path and name, or by name alone: `job-function/ViewOnlyAccess`, `ViewOnlyAccess`.
pub fn find(name: &str) -> Option<&'static AwsManaged> {
    POLICIES.get(name).or_else(|| POLICIES.values().find(|policy| policy.name.rsplit('/').next() == Some(name)))
}

/// By the ARN AWS gives it in a partition.
pub fn by_arn(partition: Partition, arn: &str) -> Option<&'static AwsManaged> {
    POLICIES.get(arn.strip_prefix(&format!("arn:{partition}:iam::aws:policy/"))?)
}

/// All of them, by path and name.
pub fn all() -> impl Iterator<Item = &'static AwsManaged> {
    POLICIES.values()
}

impl AwsManaged {
    #[must_use]
    pub fn arn(&self, partition: Partition) -> String {
        format!("arn:{partition}:iam::aws:policy/{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_can_be_read_and_found_by_name_and_arn() {
        for (name, _) in DOCUMENTS {
            let found = find(name).unwrap();
            assert_eq!(found.name, name);
            assert_eq!(by_arn(Partition::AwsCn, &found.arn(Partition::AwsCn)).map(|p| p.name), Some(name));
            assert!(by_arn(Partition::Aws, &found.arn(Partition::AwsCn)).is_none());
        }
        assert_eq!(find("ViewOnlyAccess").unwrap().name, "job-function/ViewOnlyAccess");
        assert!(find("NoSuchAccess").is_none());
        assert_eq!(all().count(), DOCUMENTS.len());
    }
}

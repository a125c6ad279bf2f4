//! Why STS gave no credentials, one row for each reason: a stable code, what a person is told, what lies behind it and what to do.
//!
//! `docs/sts-errors.md` is this table; a test compares them.

/// A reason. Each is a different thing that somebody has to put right, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    AssertionExpired,
    SignatureInvalid,
    ProviderMissing,
    IssuerMismatch,
    PairMissing,
    AssertionRefused,
    OidcProviderMissing,
    AudienceUnknown,
    KeysUnreachable,
    IssuerUnreachable,
    TrustPolicyRefuses,
    HopRefused,
    TagsNotAllowed,
    SourceIdentityNotAllowed,
    DeniedExplicitly,
    MfaRefused,
    RootRefused,
    KeyIsTemporary,
    KeyUnknown,
    KeyWrong,
    WrongScope,
    ClockSkewed,
    SessionExpired,
    Unsigned,
    DurationAboveMaximum,
    ChainTooLong,
    SourceIdentitySet,
    TagsInvalid,
    TagsTooLarge,
    PolicyTooLarge,
    PolicyMalformed,
    RequestInvalid,
    RegionDisabled,
    OptInRequired,
    OtherOperation,
    Throttled,
    Unavailable,
    Unreachable,
    TimedOut,
    LeftAlone,
    Crowded,
    NoEndpoint,
    BadAnswer,
    Unknown,
}

/// What there is to say about a reason.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// A stable name for audit events and metrics.
    pub code: &'static str,
    /// STS's own codes that may mean it; none where STS has not said anything.
    pub wire: &'static [&'static str],
    /// For the person: what is wrong, and who can put it right. Nothing of STS's own text is in it.
    pub sentence: &'static str,
    /// For whoever looks into it: what lies behind it.
    pub cause: &'static str,
    /// For them too: what to do.
    pub next_step: &'static str,
}

impl Reason {
    pub const ALL: [Self; 44] = [
        Self::AssertionExpired,
        Self::SignatureInvalid,
        Self::ProviderMissing,
        Self::IssuerMismatch,
        Self::PairMissing,
        Self::AssertionRefused,
        Self::OidcProviderMissing,
        Self::AudienceUnknown,
        Self::KeysUnreachable,
        Self::IssuerUnreachable,
        Self::TrustPolicyRefuses,
        Self::HopRefused,
        Self::TagsNotAllowed,
        Self::SourceIdentityNotAllowed,
        Self::DeniedExplicitly,
        Self::MfaRefused,
        Self::RootRefused,
        Self::KeyIsTemporary,
        Self::KeyUnknown,
        Self::KeyWrong,
        Self::WrongScope,
        Self::ClockSkewed,
        Self::SessionExpired,
        Self::Unsigned,
        Self::DurationAboveMaximum,
        Self::ChainTooLong,
        Self::SourceIdentitySet,
        Self::TagsInvalid,
        Self::TagsTooLarge,
        Self::PolicyTooLarge,
        Self::PolicyMalformed,
        Self::RequestInvalid,
        Self::RegionDisabled,
        Self::OptInRequired,
        Self::OtherOperation,
        Self::Throttled,
        Self::Unavailable,
        Self::Unreachable,
        Self::TimedOut,
        Self::LeftAlone,
        Self::Crowded,
        Self::NoEndpoint,
        Self::BadAnswer,
        Self::Unknown,
    ];

    #[must_use]
    pub const fn explain(self) -> Explanation {
        match self {
            Self::AssertionExpired => Explanation {
                code: "sts-assertion-expired",
                wire: &["ExpiredTokenException"],
                sentence: "AWS says our request came too late. The clock of the Rolegate server is probably wrong: please tell whoever runs it.",
                cause: "STS takes an assertion for five minutes, and a web identity token until it expires. Ours was older when it arrived, by AWS's clock.",
                next_step: "Compare the clock of the Rolegate host with the world's (`rolegate doctor` does), and let NTP keep it.",
            },
            Self::SignatureInvalid => Explanation {
                code: "sts-signature-invalid",
                wire: &["InvalidIdentityToken"],
                sentence: "AWS could not verify our signature. The SAML provider in this account holds an old copy of Rolegate's metadata: whoever administers the account must upload the current one.",
                cause: "The IAM SAML provider was made from metadata with another key than the one Rolegate signs with now.",
                next_step: "Upload `/aws/saml-metadata.xml` to the provider: `aws iam update-saml-provider`.",
            },
            Self::ProviderMissing => Explanation {
                code: "sts-provider-missing",
                wire: &["InvalidIdentityToken"],
                sentence: "This account has no SAML provider of the name the catalog gives. Whoever administers the account must create it, or a Rolegate administrator must correct the name.",
                cause: "`saml_provider` of the account in the catalog names a provider that IAM does not have there.",
                next_step: "Create it from `/aws/saml-metadata.xml` (`aws iam create-saml-provider`), or correct the catalog.",
            },
            Self::IssuerMismatch => Explanation {
                code: "sts-issuer-mismatch",
                wire: &["InvalidIdentityToken"],
                sentence: "The SAML provider in this account was made for another identity provider. Whoever administers the account must upload Rolegate's metadata to it.",
                cause: "The provider's metadata names another entity ID than `keys.entity_id`.",
                next_step: "Upload `/aws/saml-metadata.xml` to the provider. If `keys.entity_id` was changed by mistake, change it back.",
            },
            Self::PairMissing => Explanation {
                code: "sts-pair-missing",
                wire: &["InvalidIdentityToken"],
                sentence: "AWS does not accept this pair of role and SAML provider. A Rolegate administrator must check the role's name and the account's provider in the catalog.",
                cause: "STS did not find the pair of role and provider it was asked for in the assertion.",
                next_step: "Check account, role and `saml_provider` in the catalog. If they are right, this is a defect of Rolegate.",
            },
            Self::AssertionRefused => Explanation {
                code: "sts-assertion-refused",
                wire: &["InvalidIdentityToken", "IDPRejectedClaim"],
                sentence: "AWS refused what Rolegate says about you. A Rolegate administrator finds AWS's reason in the audit log.",
                cause: "STS read the assertion or token and did not accept something in it; `aws_message` in the audit event says what.",
                next_step: "Go by AWS's message. A session name, source identity or tag that is mapped from the person is the usual reason.",
            },
            Self::OidcProviderMissing => Explanation {
                code: "sts-oidc-provider-missing",
                wire: &["InvalidIdentityToken"],
                sentence: "This account has no OpenID Connect provider for Rolegate. Whoever administers the account must create it with Rolegate's issuer as its URL, byte for byte.",
                cause: "IAM has no OIDC provider in the account whose URL is the issuer of Rolegate's tokens.",
                next_step: "`aws iam create-open-id-connect-provider` with the issuer of `/.well-known/openid-configuration`; see issuance-methods.",
            },
            Self::AudienceUnknown => Explanation {
                code: "sts-audience-unknown",
                wire: &["InvalidIdentityToken"],
                sentence: "The OpenID Connect provider in this account does not list the audience that Rolegate uses for it. Whoever administers the account must add it to the provider's client IDs, or a Rolegate administrator must correct oidc_audience in the catalog.",
                cause: "The provider's client IDs do not hold the token's audience, `oidc_audience` of the account.",
                next_step: "`aws iam add-client-id-to-open-id-connect-provider`, or correct `oidc_audience`.",
            },
            Self::KeysUnreachable => Explanation {
                code: "sts-keys-unreachable",
                wire: &["InvalidIdentityToken"],
                sentence: "AWS could not fetch Rolegate's public keys, or does not find the one we signed with. Whoever runs Rolegate must check that AWS reaches its key set: `rolegate doctor` tells.",
                cause: "For web identity, AWS fetches discovery document and key set from Rolegate's issuer, and keeps them for a while.",
                next_step: "See that `/.well-known/openid-configuration` and `/aws/jwks.json` answer from the internet, over TLS with a public certificate.",
            },
            Self::IssuerUnreachable => Explanation {
                code: "sts-issuer-unreachable",
                wire: &["IDPCommunicationError"],
                sentence: "AWS could not reach Rolegate to fetch its public keys. Please try again in a minute; if it goes on, whoever runs Rolegate must check that AWS reaches its key set: `rolegate doctor` tells.",
                cause: "As above, but for the moment: the connection from AWS to Rolegate's issuer failed or was too slow. Rolegate asked three times; another region would not know better.",
                next_step: "If it happens again and again, look at the proxy in front of Rolegate: AWS gives up within seconds.",
            },
            Self::TrustPolicyRefuses => Explanation {
                code: "sts-trust-policy-refuses",
                wire: &["AccessDenied"],
                sentence: "The role does not trust Rolegate, or it does not exist. Whoever administers the account must check the role's name and its trust policy.",
                cause: "AWS says the same for a role that does not exist, a trust policy that names another provider or action, and a condition in it that does not hold.",
                next_step: "Check the role's name and path, then its trust policy: principal, action and conditions.",
            },
            Self::HopRefused => Explanation {
                code: "sts-hop-refused",
                wire: &["AccessDenied"],
                sentence: "The role does not let the one before it in. Whoever administers the account must check the role's name, its trust policy, and what the role on the way may do.",
                cause: "AssumeRole was denied: the role does not exist, its trust policy does not name the hub role or asks for another external ID, or the hub role may not call `sts:AssumeRole` on it.",
                next_step: "Check the target's trust policy and `external_id` in the catalog, then the hub role's own permissions.",
            },
            Self::TagsNotAllowed => Explanation {
                code: "sts-tags-not-allowed",
                wire: &["AccessDenied"],
                sentence: "The role does not allow session tags. Whoever administers the account must add sts:TagSession to its trust policy.",
                cause: "The assertion, token or request carries session tags, or inherits transitive ones, and the trust policy does not allow `sts:TagSession`.",
                next_step: "Add `sts:TagSession` to the trust policy beside the assume action.",
            },
            Self::SourceIdentityNotAllowed => Explanation {
                code: "sts-source-identity-not-allowed",
                wire: &["AccessDenied"],
                sentence: "The role does not allow a source identity. Whoever administers the account must add sts:SetSourceIdentity to its trust policy.",
                cause: "Rolegate sets or inherits a source identity, and the trust policy (or the hub role) does not allow `sts:SetSourceIdentity`.",
                next_step: "Add `sts:SetSourceIdentity` to the trust policy, and to the hub role's permissions.",
            },
            Self::DeniedExplicitly => Explanation {
                code: "sts-denied-explicitly",
                wire: &["AccessDenied"],
                sentence: "A policy in AWS forbids this role on purpose. Whoever administers the account can tell which.",
                cause: "An explicit deny: a service or resource control policy of the organization, a permissions boundary, or a statement of the role itself. `aws_message` names the kind.",
                next_step: "Look at the policies of that kind which apply to the account and the role. No allow elsewhere outweighs a deny.",
            },
            Self::MfaRefused => Explanation {
                code: "sts-mfa-refused",
                wire: &["AccessDenied"],
                sentence: "AWS did not accept that code. Please type the one your device shows now; each counts once.",
                cause: "The code of the MFA device was wrong, used already or too old, or belongs to another device than the one named.",
                next_step: "Try the next code. If none is taken, compare `mfa_serial` with the device in IAM, and resynchronise the device.",
            },
            Self::RootRefused => Explanation {
                code: "sts-root-refused",
                wire: &["AccessDenied"],
                sentence: "This role is reached with the root user's key, which AWS does not allow. A Rolegate administrator must use a key of an IAM user.",
                cause: "A root user may not assume roles.",
                next_step: "Seal the access key of an IAM user in place of it, and delete the root user's key.",
            },
            Self::KeyIsTemporary => Explanation {
                code: "sts-key-is-temporary",
                wire: &["AccessDenied"],
                sentence: "AWS takes only the lasting key of an IAM user for this role. A Rolegate administrator must seal such a key.",
                cause: "GetSessionToken and GetFederationToken cannot be called with credentials of a session.",
                next_step: "Seal an access key that begins with `AKIA`.",
            },
            Self::KeyUnknown => Explanation {
                code: "sts-key-unknown",
                wire: &["InvalidClientTokenId"],
                sentence: "AWS does not know the key this role is reached with. A Rolegate administrator must seal one that is active.",
                cause: "The sealed access key was deleted, deactivated or mistyped, or belongs to another partition; or the role at the hub was deleted meanwhile.",
                next_step: "`aws iam list-access-keys` for the user, then seal an active key by `rolegate catalog apply`.",
            },
            Self::KeyWrong => Explanation {
                code: "sts-key-wrong",
                wire: &["SignatureDoesNotMatch"],
                sentence: "AWS does not accept the secret of the key this role is reached with. A Rolegate administrator must seal the key again.",
                cause: "AWS knows the access key, and its secret is another one than the sealed one. Seldom: a proxy changes requests on their way.",
                next_step: "Seal access key id and secret again, both from the same key.",
            },
            Self::WrongScope => Explanation {
                code: "sts-wrong-scope",
                wire: &["SignatureDoesNotMatch"],
                sentence: "Rolegate called the wrong address of AWS. Please tell whoever runs it.",
                cause: "The request was signed for another region or service than the one that answered: an entry of `aws.sts_endpoints` or `aws.sts_endpoint` leads to another region.",
                next_step: "Compare the region and the address in the settings.",
            },
            Self::ClockSkewed => Explanation {
                code: "sts-clock-skewed",
                wire: &["RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"],
                sentence: "The clock of the Rolegate server is wrong, so AWS does not accept its signature. Please tell whoever runs it.",
                cause: "A signed request was more than 15 minutes off AWS's clock. Rolegate has signed it once more by AWS's time, and that was refused too.",
                next_step: "Set the clock of the Rolegate host (`rolegate doctor` compares it), and let NTP keep it.",
            },
            Self::SessionExpired => Explanation {
                code: "sts-session-expired",
                wire: &["ExpiredToken"],
                sentence: "The session on the way to this role has ended. Please try again.",
                cause: "The credentials that signed the request are those of a session that is over: a hub role's, or what was sealed was no lasting key.",
                next_step: "If it happens again, compare clocks and see that the sealed key begins with `AKIA`.",
            },
            Self::Unsigned => Explanation {
                code: "sts-unsigned",
                wire: &["MissingAuthenticationToken", "IncompleteSignature"],
                sentence: "AWS did not find a signature on Rolegate's request. Please tell whoever runs it.",
                cause: "The `Authorization` header did not arrive whole: a proxy on the way takes it out, or the address is not STS's.",
                next_step: "Check the proxy between Rolegate and AWS, and `aws.sts_endpoint`.",
            },
            Self::DurationAboveMaximum => Explanation {
                code: "sts-duration-above-maximum",
                wire: &["ValidationError"],
                sentence: "The role does not allow sessions this long. Choose a shorter one, or ask whoever administers the account to raise the role's maximum session duration.",
                cause: "The duration is above the role's MaxSessionDuration in IAM. Rolegate has tried once more with one hour.",
                next_step: "Raise it with `aws iam update-role --max-session-duration`, or lower `max_session` in the catalog.",
            },
            Self::ChainTooLong => Explanation {
                code: "sts-chain-too-long",
                wire: &["ValidationError"],
                sentence: "AWS allows one hour for a role that is reached through another one. Please choose a shorter session.",
                cause: "Role chaining is capped at one hour, whatever the roles allow.",
                next_step: "Lower `max_session` of the role in the catalog to `1h`.",
            },
            Self::SourceIdentitySet => Explanation {
                code: "sts-source-identity-set",
                wire: &["ValidationError"],
                sentence: "The session on the way to this role carries another name than yours. A Rolegate administrator must look at the roles on the way.",
                cause: "A source identity is set once and stays along the chain; a later hop asked for another one.",
                next_step: "Have every hop of the chain issued by Rolegate for the same person, or drop the source identity.",
            },
            Self::TagsInvalid => Explanation {
                code: "sts-tags-invalid",
                wire: &["InvalidParameterValue"],
                sentence: "AWS does not accept the session tags of this role. A Rolegate administrator must correct them.",
                cause: "Two tag keys differ in case only, a transitive key is not among the tags, or it collides with one that the session on the way holds.",
                next_step: "Go by `aws_message`, and correct the tags or `transitive_tags` in the catalog.",
            },
            Self::TagsTooLarge => Explanation {
                code: "sts-tags-too-large",
                wire: &["PackedPolicyTooLarge"],
                sentence: "The session tags of this role do not fit into the room AWS has for them. A Rolegate administrator must map fewer or shorter ones.",
                cause: "AWS packs session policies and tags into the token, in a space of its own measure; `aws_message` says how much was taken.",
                next_step: "Map fewer or shorter session tags.",
            },
            Self::PolicyTooLarge => Explanation {
                code: "sts-policy-too-large",
                wire: &["PackedPolicyTooLarge"],
                sentence: "What the session is limited to does not fit into the room AWS has for it and for the role's session tags. Shorten the policy, name fewer regions and networks, or keep the policy in the account and give its ARN; if none of it is yours, a Rolegate administrator must shorten the catalog's limits or tags.",
                cause: "As above, and there was a session policy, which is the part that can be left out.",
                next_step: "Shorten the policy, name managed policies by their ARN, or map fewer session tags.",
            },
            Self::PolicyMalformed => Explanation {
                code: "sts-policy-malformed",
                wire: &["MalformedPolicyDocument", "ValidationError"],
                sentence: "AWS does not accept the session policy. Check its actions, resources and conditions, and that the account has the managed policies it names; IAM's policy validator says what is wrong with it.",
                cause: "The session policy is JSON, but not valid IAM; or the account has no such managed policy.",
                next_step: "Go by `aws_message`; `aws accessanalyzer validate-policy` says more.",
            },
            Self::RequestInvalid => Explanation {
                code: "sts-request-invalid",
                wire: &[
                    "ValidationError",
                    "MalformedInput",
                    "InvalidParameterValue",
                    "InvalidParameterCombination",
                    "MalformedQueryString",
                    "InvalidAction",
                    "MissingParameter",
                    "MissingAction",
                ],
                sentence: "AWS did not understand Rolegate's request. A Rolegate administrator finds AWS's reason in the audit log.",
                cause: "A value from the catalog or from the identity provider has a form AWS does not take, or the address is not STS's.",
                next_step: "Go by `aws_message`. If nothing in the catalog explains it, it is a defect of Rolegate.",
            },
            Self::RegionDisabled => Explanation {
                code: "sts-region-disabled",
                wire: &["RegionDisabledException"],
                sentence: "AWS STS is switched off for this account in the region Rolegate uses. Whoever administers the account must switch it on, or whoever runs Rolegate must choose another region.",
                cause: "STS can be switched off by region in an account's settings.",
                next_step: "Switch it on in IAM, Account settings; or set `region` at the account, or `aws.region`.",
            },
            Self::OptInRequired => Explanation {
                code: "sts-opt-in-required",
                wire: &["OptInRequired"],
                sentence: "This account has no access to AWS in the region Rolegate uses. Whoever administers the account must enable the region.",
                cause: "The account has not opted in to the region, or to the service there.",
                next_step: "Enable the region in the account, or set another `region` at the account.",
            },
            Self::OtherOperation => Explanation {
                code: "sts-other-operation",
                wire: &[
                    "InvalidAuthorizationMessageException",
                    "ExpiredTradeInTokenException",
                    "SessionDurationEscalationException",
                    "OutboundWebIdentityFederationDisabledException",
                    "JWTPayloadSizeExceededException",
                ],
                sentence: "AWS gave an answer Rolegate does not understand. Please tell whoever runs Rolegate.",
                cause: "STS has this code for operations that Rolegate never calls.",
                next_step: "See that `aws.sts_endpoint` is STS, and that nothing on the way changes requests.",
            },
            Self::Throttled => Explanation {
                code: "sts-throttled",
                wire: &["Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"],
                sentence: "AWS is receiving too many requests just now. Please try again in a minute.",
                cause: "The account's quota in that region is used up, by Rolegate or by others who call STS for it. It was tried again with pauses drawn at random, and in the fallback regions.",
                next_step: "Look for what calls STS so often (CloudTrail); let programs use cached credentials; set `aws.fallback_regions`, whose quotas are their own.",
            },
            Self::Unavailable => Explanation {
                code: "sts-unavailable",
                wire: &["InternalFailure", "ServiceUnavailable"],
                sentence: "AWS STS is not answering just now. Please try again in a minute; if it goes on, tell whoever runs Rolegate.",
                cause: "STS answered with a 5xx. It was tried again, and in the fallback regions.",
                next_step: "Look at the AWS Health Dashboard; set `aws.fallback_regions`.",
            },
            Self::Unreachable => Explanation {
                code: "sts-unreachable",
                wire: &[],
                sentence: "AWS STS is not answering just now. Please try again in a minute; if it goes on, tell whoever runs Rolegate.",
                cause: "No connection, or it broke: DNS, the network, a proxy, TLS, or AWS. The log has the cause.",
                next_step: "`rolegate doctor` and `curl` to the address of STS, from the Rolegate host.",
            },
            Self::TimedOut => Explanation {
                code: "sts-timed-out",
                wire: &[],
                sentence: "AWS STS is not answering just now. Please try again in a minute; if it goes on, tell whoever runs Rolegate.",
                cause: "No answer within `aws.attempt_timeout`, or none in all within `aws.total_timeout`.",
                next_step: "As above. A firewall that drops packets looks like this too.",
            },
            Self::LeftAlone => Explanation {
                code: "sts-left-alone",
                wire: &[],
                sentence: "AWS STS is not answering just now. Please try again in a minute; if it goes on, tell whoever runs Rolegate.",
                cause: "Every region's endpoint failed again and again, so nothing was sent. Rolegate looks every ten seconds whether one is back.",
                next_step: "As above; it goes on by itself as soon as AWS answers.",
            },
            Self::Crowded => Explanation {
                code: "sts-crowded",
                wire: &[],
                sentence: "AWS STS is not answering just now. Please try again in a minute; if it goes on, tell whoever runs Rolegate.",
                cause: "More calls were waiting for STS than may wait, because STS answers slowly or very many ask at once. Nothing was sent.",
                next_step: "Look at `rolegate_sts_calls_in_hand` and the times in [metrics](metrics.md).",
            },
            Self::NoEndpoint => Explanation {
                code: "sts-no-endpoint",
                wire: &[],
                sentence: "Rolegate may call AWS at endpoints with validated cryptography (FIPS) only, and the region of this role has none. A Rolegate administrator must give the role or its account another region.",
                cause: "`aws.fips` is set, and AWS has no FIPS endpoint of STS in that region. Nothing was sent.",
                next_step: "Set `region` at the role or account to one that has: see `aws.fips` in [settings](settings.md).",
            },
            Self::BadAnswer => Explanation {
                code: "sts-bad-answer",
                wire: &[],
                sentence: "AWS gave an answer Rolegate does not understand. Please tell whoever runs Rolegate.",
                cause: "What came back is no answer of STS: a captive portal, a proxy's page, another service.",
                next_step: "Call the address of STS with `curl` from the Rolegate host and look.",
            },
            Self::Unknown => Explanation {
                code: "sts-unknown",
                wire: &[],
                sentence: "AWS gave an answer Rolegate does not understand. Please tell whoever runs Rolegate.",
                cause: "STS refused with a code that is not in this table.",
                next_step: "Go by `aws_code` and `aws_message` in the audit event, and report it.",
            },
        }
    }

    /// What STS's refusal means. The texts are the service's own.
    #[must_use]
    pub fn of(code: &str, message: &str, status: u16) -> Self {
        let says = |text: &str| message.contains(text);
        match code {
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException" => {
                Self::Throttled
            }
            _ if status == 429 => Self::Throttled,
            _ if status >= 500 => Self::Unavailable,
            "InternalFailure" | "ServiceUnavailable" => Self::Unavailable,
            "IDPCommunicationError" => Self::IssuerUnreachable,
            "ExpiredTokenException" => Self::AssertionExpired,
            "ExpiredToken" => Self::SessionExpired,
            "RequestExpired" | "RequestTimeTooSkewed" => Self::ClockSkewed,
            "InvalidClientTokenId" => Self::KeyUnknown,
            "MissingAuthenticationToken" | "IncompleteSignature" => Self::Unsigned,
            "SignatureDoesNotMatch" if says("Signature expired") || says("Signature not yet current") => {
                Self::ClockSkewed
            }
            "SignatureDoesNotMatch" if says("Credential should be scoped") => Self::WrongScope,
            "SignatureDoesNotMatch" => Self::KeyWrong,
            "InvalidIdentityToken" if says("Response signature invalid") => Self::SignatureInvalid,
            "InvalidIdentityToken" if says("Specified provider doesn't exist") => Self::ProviderMissing,
            "InvalidIdentityToken" if says("Issuer not present in specified provider") => Self::IssuerMismatch,
            "InvalidIdentityToken" if says("doesn't contain the requested Role") => Self::PairMissing,
            "InvalidIdentityToken" if says("No OpenIDConnect provider found") => Self::OidcProviderMissing,
            "InvalidIdentityToken" if says("Incorrect token audience") => Self::AudienceUnknown,
            "InvalidIdentityToken" if says("Couldn't retrieve verification key") => Self::KeysUnreachable,
            "InvalidIdentityToken" | "IDPRejectedClaim" => Self::AssertionRefused,
            "AccessDenied" if says("MultiFactorAuthentication failed") => Self::MfaRefused,
            "AccessDenied" if says("may not be assumed by root") => Self::RootRefused,
            "AccessDenied" if says("with session credentials") => Self::KeyIsTemporary,
            "AccessDenied" if says("with an explicit deny") => Self::DeniedExplicitly,
            "AccessDenied" if says("sts:TagSession") => Self::TagsNotAllowed,
            "AccessDenied" if says("sts:SetSourceIdentity") => Self::SourceIdentityNotAllowed,
            "AccessDenied" if says("is not authorized to perform: sts:AssumeRole on") => Self::HopRefused,
            "AccessDenied" => Self::TrustPolicyRefuses,
            "ValidationError" if says("1 hour session limit") => Self::ChainTooLong,
            "ValidationError" if says("DurationSeconds exceeds") => Self::DurationAboveMaximum,
            "ValidationError" if says("does not exist or is not attachable") => Self::PolicyMalformed,
            "ValidationError" if says("source identity is already set") => Self::SourceIdentitySet,
            "InvalidParameterValue" if says("ag key") => Self::TagsInvalid,
            "ValidationError"
            | "MalformedInput"
            | "InvalidParameterValue"
            | "InvalidParameterCombination"
            | "MalformedQueryString"
            | "InvalidAction"
            | "MissingParameter"
            | "MissingAction" => Self::RequestInvalid,
            "PackedPolicyTooLarge" => Self::TagsTooLarge,
            "MalformedPolicyDocument" => Self::PolicyMalformed,
            "RegionDisabledException" => Self::RegionDisabled,
            "OptInRequired" => Self::OptInRequired,
            "InvalidAuthorizationMessageException"
            | "ExpiredTradeInTokenException"
            | "SessionDurationEscalationException"
            | "OutboundWebIdentityFederationDisabledException"
            | "JWTPayloadSizeExceededException" => Self::OtherOperation,
            _ => Self::Unknown,
        }
    }

    /// Whether trying again later may help without anybody changing anything.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        self.is_unasked() || self.is_silence() || matches!(self, Self::Throttled | Self::IssuerUnreachable)
    }

    /// Whether it says that the endpoint is not well. One that throttles, or refuses, is.
    #[must_use]
    pub const fn is_silence(self) -> bool {
        matches!(self, Self::Unavailable | Self::Unreachable | Self::TimedOut)
    }

    /// Whether STS was never asked: it is we who held back.
    #[must_use]
    pub const fn is_unasked(self) -> bool {
        matches!(self, Self::LeftAlone | Self::Crowded)
    }
}

#[cfg(test)]
mod tests;

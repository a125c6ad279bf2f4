//! Replies that must be believed, each in a shape some provider really sends.

use super::forge::{
    ASSERTION_ID, DS, ENVELOPED, Encryption, Forge, IDP, Parts, RESPONSE_ID, SAML, SAMLP, SUCCESS, Sig, Who,
    attributes, form, sign,
};

/// A reply that signs `asha` in.
pub struct Case {
    pub name: &'static str,
    /// The base64 text of the form field.
    pub form: fn(&Forge) -> String,
}

const MORE: &str = "http://www.w3.org/2001/04/xmldsig-more#";
const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
const XENC11: &str = "http://www.w3.org/2009/xmlenc11#";

fn both(parts: &Parts, response: &Sig<'_>, assertion: &Sig<'_>) -> String {
    form(&sign(&parts.response(&sign(&parts.assertion(), ASSERTION_ID, assertion)), RESPONSE_ID, response))
}

fn gcm(bits: u16) -> String {
    format!("{XENC11}aes{bits}-gcm")
}

fn cbc(bits: u16) -> String {
    format!("{XENC}aes{bits}-cbc")
}

/// Base64 in lines, as some libraries write it.
fn in_lines(text: &str, end: &str) -> String {
    text.as_bytes().chunks(76).map(|line| format!("{}{end}", String::from_utf8_lossy(line))).collect()
}

pub const CASES: &[Case] = &[
    Case { name: "the assertion is signed", form: |f| f.signed(|_| {}) },
    Case { name: "the response is signed", form: |f| f.response_signed(|_| {}) },
    Case { name: "both are signed", form: |f| both(&f.parts(), &Sig::default(), &Sig::default()) },
    Case {
        name: "both are signed, by two keys of a rollover",
        form: |f| both(&f.parts(), &Sig { who: Who::IdpNext, ..Sig::default() }, &Sig::default()),
    },
    Case {
        name: "signed by the second RSA certificate of the metadata",
        form: |f| f.signed_by(&Sig { who: Who::IdpNext, ..Sig::default() }),
    },
    Case {
        name: "signed with ECDSA",
        form: |f| {
            let algorithm = format!("{MORE}ecdsa-sha256");
            f.signed_by(&Sig { who: Who::IdpEc, algorithm: &algorithm, ..Sig::default() })
        },
    },
    Case {
        name: "signed with ECDSA and SHA-512",
        form: |f| {
            let (algorithm, digest) = (format!("{MORE}ecdsa-sha512"), format!("{XENC}sha512"));
            f.signed_by(&Sig { who: Who::IdpEc, algorithm: &algorithm, digest: &digest, ..Sig::default() })
        },
    },
    Case {
        name: "signed with RSA and SHA-384",
        form: |f| {
            let (algorithm, digest) = (format!("{MORE}rsa-sha384"), format!("{MORE}sha384"));
            f.signed_by(&Sig { algorithm: &algorithm, digest: &digest, ..Sig::default() })
        },
    },
    Case {
        name: "signed with RSA and SHA-512",
        form: |f| {
            let (algorithm, digest) = (format!("{MORE}rsa-sha512"), format!("{XENC}sha512"));
            f.signed_by(&Sig { algorithm: &algorithm, digest: &digest, ..Sig::default() })
        },
    },
    Case {
        name: "the signature has no KeyInfo",
        form: |f| f.signed_by(&Sig { key_info: Some(String::new()), ..Sig::default() }),
    },
    Case {
        name: "KeyInfo has a key name and a certificate nobody knows",
        form: |f| {
            let key_info = format!(
                "<ds:KeyInfo><ds:KeyName>k1</ds:KeyName><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate>\
                 </ds:X509Data></ds:KeyInfo>",
                Who::Stranger.identity().base64()
            );
            f.signed_by(&Sig { key_info: Some(key_info), ..Sig::default() })
        },
    },
    Case {
        name: "the signature uses the default namespace",
        form: |f| f.signed_by(&Sig { prefix: "", ..Sig::default() }),
    },
    Case {
        name: "canonicalization keeps comments, of which there are none",
        form: |f| {
            let c14n = "http://www.w3.org/2001/10/xml-exc-c14n#WithComments";
            let transforms = format!("<ds:Transform Algorithm=\"{ENVELOPED}\"/><ds:Transform Algorithm=\"{c14n}\"/>");
            f.signed_by(&Sig { transforms: Some(&transforms), canonicalization: c14n, ..Sig::default() })
        },
    },
    Case {
        name: "encrypted with AES-128-GCM",
        form: |f| f.encrypted(&Encryption { bulk: &gcm(128), ..Encryption::default() }),
    },
    Case { name: "encrypted with AES-256-GCM", form: |f| f.encrypted(&Encryption::default()) },
    Case {
        name: "encrypted with AES-128-CBC",
        form: |f| f.encrypted(&Encryption { bulk: &cbc(128), ..Encryption::default() }),
    },
    Case {
        name: "encrypted with AES-192-CBC",
        form: |f| f.encrypted(&Encryption { bulk: &cbc(192), ..Encryption::default() }),
    },
    Case {
        name: "encrypted with AES-256-CBC, the key beside the data (Okta)",
        form: |f| f.encrypted(&Encryption { bulk: &cbc(256), beside: true, ..Encryption::default() }),
    },
    Case {
        name: "encrypted with OAEP over SHA-256",
        form: |f| {
            let transport = format!("{XENC11}rsa-oaep");
            f.encrypted(&Encryption { transport: &transport, oaep_sha256: true, ..Encryption::default() })
        },
    },
    Case {
        name: "encrypted with OAEP over SHA-256 and mask generation over SHA-1",
        form: |f| f.encrypted(&Encryption { oaep_sha256: true, ..Encryption::default() }),
    },
    Case {
        name: "encrypted for somebody else too",
        form: |f| f.encrypted(&Encryption { key_for_another_too: true, beside: true, ..Encryption::default() }),
    },
    Case {
        name: "the response is signed, the assertion encrypted and not signed (Shibboleth)",
        form: |f| {
            let parts = f.parts();
            let encrypted =
                f.encrypt(parts.assertion().as_bytes(), &Encryption { bulk: &gcm(128), ..Encryption::default() });
            form(&sign(&parts.response(&encrypted), RESPONSE_ID, &Sig::default()))
        },
    },
    Case {
        name: "everything is signed and encrypted",
        form: |f| {
            let parts = f.parts();
            let assertion = sign(&parts.assertion(), ASSERTION_ID, &Sig::default());
            let encrypted = f.encrypt(assertion.as_bytes(), &Encryption { bulk: &cbc(256), ..Encryption::default() });
            form(&sign(&parts.response(&encrypted), RESPONSE_ID, &Sig::default()))
        },
    },
    Case {
        name: "the encrypted assertion uses a prefix that is declared outside only",
        form: |f| {
            let parts = f.parts();
            let assertion = sign(&parts.assertion(), ASSERTION_ID, &Sig::default());
            let bare = assertion.replacen(&format!(" xmlns:saml=\"{SAML}\""), "", 1);
            form(&parts.response(&f.encrypt(bare.as_bytes(), &Encryption::default())))
        },
    },
    Case { name: "as Okta writes it", form: okta },
    Case { name: "as Entra ID writes it", form: entra },
    Case { name: "as AD FS writes it", form: adfs },
    Case { name: "as Keycloak writes it", form: keycloak },
    Case { name: "as Google Workspace writes it", form: google },
    Case { name: "4,000 groups", form: |f| f.signed(|p| p.attributes = many_groups(4000)) },
    Case {
        name: "4,000 groups, one attribute each",
        form: |f| {
            let groups: String = (0..4000)
                .map(|i| {
                    format!(
                        "<saml:Attribute Name=\"groups\"><saml:AttributeValue>group-{i:04}</saml:AttributeValue>\
                         </saml:Attribute>"
                    )
                })
                .collect();
            f.signed(|p| p.attributes = format!("<saml:AttributeStatement>{groups}</saml:AttributeStatement>"))
        },
    },
    Case { name: "base64 in lines ending in LF", form: |f| in_lines(&f.signed(|_| {}), "\n") },
    Case { name: "base64 in lines ending in CR LF", form: |f| in_lines(&f.signed(|_| {}), "\r\n") },
    Case {
        name: "an XML declaration and a byte-order mark",
        form: |f| f.tampered(|xml| format!("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{xml}\n")),
    },
    Case {
        name: "values with white space around them",
        form: |f| {
            f.signed(|p| {
                p.issuer = Some(format!("\n  {IDP}\n  "));
                p.name_id = "<saml:NameID>\n asha \n</saml:NameID>".to_owned();
                p.attributes = attributes(&[("groups", &["\n   engineering\n   "])]);
            })
        },
    },
    Case {
        name: "a clock behind ours, at the edge",
        form: |f| {
            f.signed(|p| {
                p.conditions_until = Some(f.at(-179));
                p.confirmation_until = Some(f.at(-179));
            })
        },
    },
    Case {
        name: "a clock ahead of ours, at the edge",
        form: |f| {
            f.signed(|p| {
                p.instant = Some(f.at(180));
                p.response_instant = Some(f.at(180));
                p.conditions_from = Some(f.at(180));
            })
        },
    },
    Case {
        name: "several audience restrictions, all of them ours",
        form: |f| {
            let one = |more: &str| {
                format!(
                    "<saml:AudienceRestriction><saml:Audience>{}</saml:Audience>{more}</saml:AudienceRestriction>",
                    f.sp_entity_id
                )
            };
            f.signed(|p| p.conditions = one("") + &one("<saml:Audience>https://other.example</saml:Audience>"))
        },
    },
    Case { name: "a condition for one use", form: |f| f.signed(|p| p.conditions.push_str("<saml:OneTimeUse/>")) },
    Case {
        name: "a second confirmation that is not bearer's",
        form: |f| {
            f.signed(|p| {
                let other = "<saml:SubjectConfirmation \
                             Method=\"urn:oasis:names:tc:SAML:2.0:cm:sender-vouches\"/>";
                p.name_id.push_str(other);
            })
        },
    },
    Case {
        name: "values of other types, nil, empty and wrapped",
        form: |f| {
            f.signed(|p| {
                p.attributes = "<saml:AttributeStatement xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
                    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
                    <saml:Attribute Name=\"active\"><saml:AttributeValue xsi:type=\"xs:boolean\">true\
                    </saml:AttributeValue></saml:Attribute>\
                    <saml:Attribute Name=\"groups\"><saml:AttributeValue xsi:nil=\"true\"/>\
                    <saml:AttributeValue/><saml:AttributeValue xsi:type=\"xs:anyType\">engineering\
                    </saml:AttributeValue></saml:Attribute>\
                    <saml:Attribute Name=\"urn:oid:1.3.6.1.4.1.5923.1.1.1.10\"><saml:AttributeValue><saml:NameID \
                    NameQualifier=\"q\">targeted</saml:NameID></saml:AttributeValue></saml:Attribute>\
                    </saml:AttributeStatement>"
                    .to_owned();
            })
        },
    },
];

/// One attribute with that many values.
pub fn many_groups(count: usize) -> String {
    let values: String =
        (0..count).map(|i| format!("<saml:AttributeValue>group-{i:04}</saml:AttributeValue>")).collect();
    format!(
        "<saml:AttributeStatement><saml:Attribute Name=\"groups\">{values}</saml:Attribute></saml:AttributeStatement>"
    )
}

const XS: &str = "http://www.w3.org/2001/XMLSchema";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// `saml2` prefixes, both signed, `xs` kept by InclusiveNamespaces, a format on the Issuer.
fn okta(f: &Forge) -> String {
    let to = f.request_id.as_ref().map(|id| format!(" InResponseTo=\"{id}\"")).unwrap_or_default();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><saml2p:Response xmlns:saml2p=\"{SAMLP}\" Destination=\"{acs}\" \
         ID=\"id1\"{to} IssueInstant=\"{now}\" Version=\"2.0\" xmlns:xs=\"{XS}\"><saml2:Issuer \
         xmlns:saml2=\"{SAML}\" Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:entity\">{IDP}</saml2:Issuer>\
         <saml2p:Status xmlns:saml2p=\"{SAMLP}\"><saml2p:StatusCode Value=\"{SUCCESS}\"/></saml2p:Status>\
         <saml2:Assertion xmlns:saml2=\"{SAML}\" ID=\"id2\" IssueInstant=\"{now}\" Version=\"2.0\" xmlns:xs=\"{XS}\">\
         <saml2:Issuer Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:entity\" xmlns:saml2=\"{SAML}\">{IDP}\
         </saml2:Issuer><saml2:Subject xmlns:saml2=\"{SAML}\"><saml2:NameID \
         Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified\">asha</saml2:NameID>\
         <saml2:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml2:SubjectConfirmationData{to} \
         NotOnOrAfter=\"{until}\" Recipient=\"{acs}\"/></saml2:SubjectConfirmation></saml2:Subject>\
         <saml2:Conditions NotBefore=\"{from}\" NotOnOrAfter=\"{until}\" xmlns:saml2=\"{SAML}\">\
         <saml2:AudienceRestriction><saml2:Audience>{sp}</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>\
         <saml2:AuthnStatement AuthnInstant=\"{now}\" SessionIndex=\"{to2}\"><saml2:AuthnContext>\
         <saml2:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport\
         </saml2:AuthnContextClassRef></saml2:AuthnContext></saml2:AuthnStatement><saml2:AttributeStatement>\
         <saml2:Attribute Name=\"groups\" NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:basic\">\
         <saml2:AttributeValue xmlns:xs=\"{XS}\" xmlns:xsi=\"{XSI}\" xsi:type=\"xs:string\">engineering\
         </saml2:AttributeValue></saml2:Attribute></saml2:AttributeStatement></saml2:Assertion></saml2p:Response>",
        acs = f.acs_url,
        sp = f.sp_entity_id,
        now = f.at(0),
        from = f.at(-300),
        until = f.at(300),
        to2 = f.request_id.as_deref().unwrap_or("id3"),
    );
    let sig = Sig { inclusive: &["xs"], ..Sig::default() };
    form(&sign(&sign(&xml, "id2", &sig), "id1", &sig))
}

/// Default namespaces, a signed assertion, no skew, no NameID format, milliseconds.
fn entra(f: &Forge) -> String {
    let to = f.request_id.as_ref().map(|id| format!(" InResponseTo=\"{id}\"")).unwrap_or_default();
    let now = f.at(0).replace('Z', ".123Z");
    let assertion = format!(
        "<Assertion ID=\"_a1\" IssueInstant=\"{now}\" Version=\"2.0\" xmlns=\"{SAML}\"><Issuer>{IDP}</Issuer><Subject>\
         <NameID>asha</NameID><SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
         <SubjectConfirmationData{to} NotOnOrAfter=\"{until}\" Recipient=\"{acs}\"/></SubjectConfirmation></Subject>\
         <Conditions NotBefore=\"{now}\" NotOnOrAfter=\"{until}\"><AudienceRestriction><Audience>{sp}</Audience>\
         </AudienceRestriction></Conditions><AttributeStatement><Attribute \
         Name=\"http://schemas.microsoft.com/ws/2008/06/identity/claims/groups\"><AttributeValue>\
         5f0d0b66-3c30-4d5b-a1c5-2f2f4d9c7a01</AttributeValue></Attribute></AttributeStatement><AuthnStatement \
         AuthnInstant=\"{now}\" SessionIndex=\"_a1\"><AuthnContext><AuthnContextClassRef>\
         urn:oasis:names:tc:SAML:2.0:ac:classes:Password</AuthnContextClassRef></AuthnContext></AuthnStatement>\
         </Assertion>",
        until = f.at(4200).replace('Z', ".123Z"),
        acs = f.acs_url,
        sp = f.sp_entity_id,
    );
    let assertion = sign(&assertion, "_a1", &Sig { prefix: "", ..Sig::default() });
    form(&format!(
        "<samlp:Response ID=\"_r1\" Version=\"2.0\" IssueInstant=\"{now}\" Destination=\"{}\"{to} \
         xmlns:samlp=\"{SAMLP}\"><Issuer xmlns=\"{SAML}\">{IDP}</Issuer><samlp:Status><samlp:StatusCode \
         Value=\"{SUCCESS}\"/></samlp:Status>{assertion}</samlp:Response>",
        f.acs_url
    ))
}

/// Consent and seven digits of a second; the assertion encrypted in CBC, KeyInfo in the default namespace.
fn adfs(f: &Forge) -> String {
    let mut parts = f.parts();
    parts.response_instant = Some(f.at(0).replace('Z', ".1234567Z"));
    parts.instant = parts.response_instant.clone();
    let assertion = sign(&parts.assertion(), ASSERTION_ID, &Sig { prefix: "", ..Sig::default() });
    let bulk = cbc(256);
    let encrypted = f.encrypt(assertion.as_bytes(), &Encryption { bulk: &bulk, ..Encryption::default() });
    let encrypted = encrypted
        .replace(&format!("<ds:KeyInfo xmlns:ds=\"{DS}\">"), &format!("<KeyInfo xmlns=\"{DS}\">"))
        .replace("</ds:KeyInfo>", "</KeyInfo>");
    form(&parts.response(&encrypted).replacen(
        " Version=",
        " Consent=\"urn:oasis:names:tc:SAML:2.0:consent:unspecified\" Version=",
        1,
    ))
}

/// The response signed with a key name only, one Attribute element per role, full paths for groups.
fn keycloak(f: &Forge) -> String {
    let one = |name: &str, value: &str| {
        format!(
            "<saml:Attribute FriendlyName=\"{name}\" Name=\"{name}\" \
             NameFormat=\"urn:oasis:names:tc:SAML:2.0:attrname-format:basic\"><saml:AttributeValue xmlns:xs=\"{XS}\" \
             xmlns:xsi=\"{XSI}\" xsi:type=\"xs:string\">{value}</saml:AttributeValue></saml:Attribute>"
        )
    };
    let parts = f.with(|p| {
        p.attributes = format!(
            "<saml:AttributeStatement>{}{}{}</saml:AttributeStatement>",
            one("Role", "offline_access"),
            one("Role", "uma_authorization"),
            one("groups", "/engineering/payments")
        );
    });
    let sig = Sig {
        key_info: Some("<ds:KeyInfo><ds:KeyName>abc</ds:KeyName></ds:KeyInfo>".to_owned()),
        prefix: "dsig",
        ..Sig::default()
    };
    let sig = Sig { key_info: sig.key_info.map(|info| info.replace("ds:", "dsig:")), ..sig };
    form(&sign(&parts.response(&parts.assertion()), RESPONSE_ID, &sig))
}

/// Only the response is signed; the entity ID has a query.
fn google(f: &Forge) -> String {
    f.response_signed(|p| {
        p.name_id = "<saml:NameID Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress\">asha</saml:NameID>"
            .to_owned();
        p.attributes = format!(
            "<saml:AttributeStatement><saml:Attribute Name=\"groups\"><saml:AttributeValue xmlns:xs=\"{XS}\" \
             xmlns:xsi=\"{XSI}\" xsi:type=\"xs:anyType\">engineering</saml:AttributeValue></saml:Attribute>\
             </saml:AttributeStatement>"
        );
    })
}

//! Replies that must be refused, each with the code its refusal is recorded under.
//!
//! All of them are about `admin`, who is not the person the provider vouched for, or are wrong in the way their name
//! says and right in every other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::forge::{
    ASSERTION_ID, BEARER, ENVELOPED, EXCLUSIVE, Encryption, Forge, IDP, RESPONSE_ID, RSA_SHA256, SAML, SAMLP, Sig, Who,
    attributes, form, sign, signature_for,
};
use super::honest::many_groups;

/// A reply that signs nobody in.
pub struct Case {
    pub name: &'static str,
    /// The base64 text of the form field.
    pub form: fn(&Forge) -> String,
    /// The code of the refusal.
    pub expect: &'static str,
}

const MORE: &str = "http://www.w3.org/2001/04/xmldsig-more#";
const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
const ADMIN: &str = "<saml:NameID>admin</saml:NameID>";

/// The pieces signature wrapping plays with.
struct Pieces {
    /// The honest assertion, signed.
    signed: String,
    /// The same without its signature.
    bare: String,
    signature: String,
    /// An unsigned one about somebody else.
    evil: String,
    forge: Forge,
}

fn pieces(f: &Forge) -> Pieces {
    let bare = f.parts().assertion();
    let (signature, at) = signature_for(&bare, ASSERTION_ID, &Sig::default());
    let evil = f.with(|p| {
        p.assertion_id = "_evil".to_owned();
        p.name_id = ADMIN.to_owned();
    });
    Pieces {
        signed: format!("{}{signature}{}", &bare[..at], &bare[at..]),
        bare,
        signature,
        evil: evil.assertion(),
        forge: f.clone(),
    }
}

impl Pieces {
    fn respond(&self, inside: &str) -> String {
        form(&self.forge.parts().response(inside))
    }

    /// The evil assertion with something behind its Issuer.
    fn evil_with(&self, inside: &str) -> String {
        self.evil.replacen("</saml:Issuer>", &format!("</saml:Issuer>{inside}"), 1)
    }

    /// The honest signature with something in an Object.
    fn signature_around(&self, inside: &str) -> String {
        self.signature.replacen("</ds:Signature>", &format!("<ds:Object>{inside}</ds:Object></ds:Signature>"), 1)
    }
}

/// A signed honest response, and the same without signature, with the signature apart.
fn signed_response(f: &Forge) -> (String, String, String) {
    let parts = f.parts();
    let bare = parts.response(&parts.assertion());
    let (signature, at) = signature_for(&bare, RESPONSE_ID, &Sig::default());
    (format!("{}{signature}{}", &bare[..at], &bare[at..]), bare, signature)
}

/// A response about `admin` with another ID and something more behind its Issuer.
fn evil_response(f: &Forge, inside: &str) -> String {
    let parts = f.with(|p| {
        p.assertion_id = "_evil".to_owned();
        p.name_id = ADMIN.to_owned();
    });
    parts.response(&parts.assertion()).replacen(RESPONSE_ID, "_evilresponse", 1).replacen(
        "</saml:Issuer>",
        &format!("</saml:Issuer>{inside}"),
        1,
    )
}

fn transforms(list: &[&str]) -> String {
    list.iter().map(|uri| format!("<ds:Transform Algorithm=\"{uri}\"/>")).collect()
}

fn with_transform(f: &Forge, transform: &str) -> String {
    let list = transforms(&[ENVELOPED, EXCLUSIVE]) + transform;
    f.signed_by(&Sig { transforms: Some(&list), ..Sig::default() })
}

fn refers_to(f: &Forge, uri: &str) -> String {
    f.signed_by(&Sig { uri: Some(uri), ..Sig::default() })
}

fn status(code: &str) -> String {
    format!(
        "<samlp:Status><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Responder\"><samlp:StatusCode \
         Value=\"{code}\"/></samlp:StatusCode><samlp:StatusMessage>AADSTS50105 &lt;b&gt;no&lt;/b&gt;\
         </samlp:StatusMessage></samlp:Status>"
    )
}

fn audience(name: &str) -> String {
    format!("<saml:AudienceRestriction><saml:Audience>{name}</saml:Audience></saml:AudienceRestriction>")
}

pub const CASES: &[Case] = &[
    // Signature wrapping.
    Case {
        name: "XSW1: the signed response inside the signature of another",
        expect: "element-misplaced",
        form: |f| {
            let (_, bare, signature) = signed_response(f);
            let bare = bare.replace(ASSERTION_ID, "_other");
            let around =
                signature.replacen("</ds:Signature>", &format!("<ds:Object>{bare}</ds:Object></ds:Signature>"), 1);
            form(&evil_response(f, &around))
        },
    },
    Case {
        name: "XSW2: the signed response beside a detached signature",
        expect: "element-misplaced",
        form: |f| {
            let (_, bare, signature) = signed_response(f);
            form(&evil_response(f, &format!("{signature}{bare}")))
        },
    },
    Case {
        name: "XSW3: another assertion before the signed one",
        expect: "several-assertions",
        form: |f| {
            let p = pieces(f);
            p.respond(&format!("{}{}", p.evil, p.signed))
        },
    },
    Case {
        name: "XSW3 reversed: another assertion behind the signed one",
        expect: "several-assertions",
        form: |f| {
            let p = pieces(f);
            p.respond(&format!("{}{}", p.signed, p.evil))
        },
    },
    Case {
        name: "XSW4: the signed assertion inside another",
        expect: "several-assertions",
        form: |f| {
            let p = pieces(f);
            p.respond(&p.evil.replacen("</saml:Assertion>", &format!("{}</saml:Assertion>", p.signed), 1))
        },
    },
    Case {
        name: "XSW5: the signature moved into another assertion, the signed one left behind it",
        expect: "several-assertions",
        form: |f| {
            let p = pieces(f);
            p.respond(&format!("{}{}", p.evil_with(&p.signature), p.bare))
        },
    },
    Case {
        name: "XSW6: the signed assertion inside its signature inside another assertion",
        expect: "element-misplaced",
        form: |f| {
            let p = pieces(f);
            p.respond(&p.evil_with(&p.signature_around(&p.bare)))
        },
    },
    Case {
        name: "XSW7: another assertion in Extensions",
        expect: "element-misplaced",
        form: |f| {
            let p = pieces(f);
            p.respond(&format!("<samlp:Extensions>{}</samlp:Extensions>{}", p.evil, p.signed))
        },
    },
    Case {
        name: "XSW8: the signed assertion in an Object, another one around",
        expect: "element-misplaced",
        form: |f| {
            let p = pieces(f);
            p.respond(&p.evil_with(&p.signature.replacen(
                "</ds:Signature>",
                &format!("<ds:Object><x>{}</x></ds:Object></ds:Signature>", p.bare),
                1,
            )))
        },
    },
    Case {
        name: "the signature moved to an assertion that says something else",
        expect: "reference-refused",
        form: |f| {
            let p = pieces(f);
            p.respond(&p.evil_with(&p.signature))
        },
    },
    Case {
        name: "the same with the ID of the signed one",
        expect: "signature-invalid",
        form: |f| {
            let p = pieces(f);
            p.respond(&p.evil_with(&p.signature).replace("_evil", ASSERTION_ID))
        },
    },
    Case {
        name: "the signature of the assertion placed in the response",
        expect: "reference-refused",
        form: |f| {
            let p = pieces(f);
            form(&f.parts().response(&p.evil).replacen("</saml:Issuer>", &format!("</saml:Issuer>{}", p.signature), 1))
        },
    },
    Case {
        name: "an assertion in Advice",
        expect: "several-assertions",
        form: |f| {
            let p = pieces(f);
            let advice = format!("<saml:Advice>{}</saml:Advice></saml:Assertion>", p.evil);
            p.respond(&p.signed.replacen("</saml:Assertion>", &advice, 1))
        },
    },
    Case {
        name: "a second assertion in another namespace",
        expect: "element-misplaced",
        form: |f| {
            let p = pieces(f);
            let other = p.evil.replace(SAML, "urn:oasis:names:tc:SAML:1.0:assertion");
            p.respond(&format!("{}{other}", p.signed))
        },
    },
    Case {
        name: "a second assertion, encrypted",
        expect: "several-assertions",
        form: |f| {
            let p = pieces(f);
            p.respond(&format!("{}{}", p.signed, f.encrypt(p.evil.as_bytes(), &Encryption::default())))
        },
    },
    Case {
        name: "a second, unsigned response around the signed one",
        expect: "element-misplaced",
        form: |f| {
            let (signed, ..) = signed_response(f);
            form(&format!(
                "<samlp:Response xmlns:samlp=\"{SAMLP}\" ID=\"_outer\" Version=\"2.0\">{signed}</samlp:Response>"
            ))
        },
    },
    Case {
        name: "a bare assertion instead of a response",
        expect: "root-unexpected",
        form: |f| form(&pieces(f).signed),
    },
    Case {
        name: "a response of another protocol version's namespace",
        expect: "root-unexpected",
        form: |f| f.tampered(|xml| xml.replace(SAMLP, "urn:oasis:names:tc:SAML:1.0:protocol")),
    },
    Case {
        name: "an authentication request instead of a response",
        expect: "root-unexpected",
        form: |f| f.tampered(|xml| xml.replace("samlp:Response", "samlp:AuthnRequest")),
    },
    Case {
        name: "a signature at the end of the assertion",
        expect: "element-misplaced",
        form: |f| {
            let p = pieces(f);
            p.respond(&p.bare.replacen("</saml:Assertion>", &format!("{}</saml:Assertion>", p.signature), 1))
        },
    },
    Case {
        name: "two signatures in one assertion",
        expect: "element-misplaced",
        form: |f| {
            let p = pieces(f);
            p.respond(&p.signed.replacen("</saml:Issuer>", &format!("</saml:Issuer>{}", p.signature), 1))
        },
    },
    Case {
        name: "three signatures",
        expect: "several-signatures",
        form: |f| {
            let p = pieces(f);
            p.respond(&format!("{}{}{}", p.signed, p.signature, p.signature))
        },
    },
    Case {
        name: "a signature in the wrong namespace beside the right one",
        expect: "element-misplaced",
        form: |f| {
            let p = pieces(f);
            let other = "<x:Signature xmlns:x=\"urn:x\"/>";
            p.respond(&p.signed.replacen("</saml:Issuer>", &format!("</saml:Issuer>{other}"), 1))
        },
    },
    // What is signed, and how.
    Case {
        name: "no signature at all",
        expect: "signature-missing",
        form: |f| form(&f.parts().response(&f.parts().assertion())),
    },
    Case {
        name: "a word of the signed assertion changed",
        expect: "signature-invalid",
        form: |f| f.tampered(|xml| xml.replace(">asha<", ">admin<")),
    },
    Case {
        name: "a word of the signed response changed",
        expect: "signature-invalid",
        form: |f| form(&signed_response(f).0.replace(">asha<", ">admin<")),
    },
    Case {
        name: "both signed, the assertion's signature broken",
        expect: "signature-invalid",
        form: |f| {
            let parts = f.parts();
            let broken = sign(&parts.assertion(), ASSERTION_ID, &Sig { who: Who::Stranger, ..Sig::default() });
            form(&sign(&parts.response(&broken), RESPONSE_ID, &Sig::default()))
        },
    },
    Case {
        name: "both signed, the response's signature broken",
        expect: "signature-invalid",
        form: |f| {
            let parts = f.parts();
            let assertion = sign(&parts.assertion(), ASSERTION_ID, &Sig::default());
            form(&sign(&parts.response(&assertion), RESPONSE_ID, &Sig { who: Who::Stranger, ..Sig::default() }))
        },
    },
    Case {
        name: "signed by a stranger who sends his certificate along",
        expect: "signature-invalid",
        form: |f| f.signed_by(&Sig { who: Who::Stranger, ..Sig::default() }),
    },
    Case {
        name: "signed by a stranger who sends his key along",
        expect: "signature-invalid",
        form: |f| {
            let rsa = Who::Stranger.identity().key.rsa().unwrap();
            let key_info = format!(
                "<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{}</ds:Modulus><ds:Exponent>{}</ds:Exponent>\
                 </ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>",
                STANDARD.encode(rsa.n().to_vec()),
                STANDARD.encode(rsa.e().to_vec())
            );
            f.signed_by(&Sig { who: Who::Stranger, key_info: Some(key_info), ..Sig::default() })
        },
    },
    Case {
        name: "signed by a stranger who shows the provider's certificate",
        expect: "signature-invalid",
        form: |f| {
            let key_info = format!(
                "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>",
                Who::Idp.identity().base64()
            );
            f.signed_by(&Sig { who: Who::Stranger, key_info: Some(key_info), ..Sig::default() })
        },
    },
    Case {
        name: "signed by a stranger with an EC key",
        expect: "signature-invalid",
        form: |f| {
            let algorithm = format!("{MORE}ecdsa-sha256");
            f.signed_by(&Sig { who: Who::StrangerEc, algorithm: &algorithm, ..Sig::default() })
        },
    },
    Case {
        name: "an RSA signature announced as ECDSA",
        expect: "signature-invalid",
        form: |f| f.tampered(|xml| xml.replace(RSA_SHA256, &format!("{MORE}ecdsa-sha256"))),
    },
    Case {
        name: "RSA with MD5",
        expect: "algorithm-refused",
        form: |f| {
            let algorithm = format!("{MORE}rsa-md5");
            f.signed_by(&Sig { algorithm: &algorithm, ..Sig::default() })
        },
    },
    Case {
        name: "RSA with SHA-1",
        expect: "sha1-refused",
        form: |f| f.signed_by(&Sig { algorithm: "http://www.w3.org/2000/09/xmldsig#rsa-sha1", ..Sig::default() }),
    },
    Case {
        name: "a SHA-1 digest under an RSA-SHA256 signature",
        expect: "sha1-refused",
        form: |f| f.signed_by(&Sig { digest: "http://www.w3.org/2000/09/xmldsig#sha1", ..Sig::default() }),
    },
    Case {
        name: "an MD5 digest",
        expect: "algorithm-refused",
        form: |f| {
            let digest = format!("{MORE}md5");
            f.signed_by(&Sig { digest: &digest, ..Sig::default() })
        },
    },
    Case {
        name: "HMAC with the public key as secret",
        expect: "algorithm-refused",
        form: |f| {
            let algorithm = format!("{MORE}hmac-sha256");
            f.signed_by(&Sig { algorithm: &algorithm, ..Sig::default() })
        },
    },
    Case {
        name: "no algorithm",
        expect: "algorithm-refused",
        form: |f| f.signed_by(&Sig { algorithm: "", ..Sig::default() }),
    },
    Case {
        name: "an HMAC output length of zero",
        expect: "signature-malformed",
        form: |f| {
            f.tampered(|xml| {
                let method = format!("<ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"/>");
                let with = method.replace("/>", "><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>");
                xml.replace(&method, &with)
            })
        },
    },
    Case {
        name: "an empty signature value",
        expect: "signature-invalid",
        form: |f| {
            f.tampered(|xml| {
                let start = xml.find("<ds:SignatureValue>").unwrap();
                let end = xml.find("</ds:SignatureValue>").unwrap();
                format!("{}<ds:SignatureValue>{}", &xml[..start], &xml[end..])
            })
        },
    },
    Case {
        name: "an empty digest",
        expect: "signature-invalid",
        form: |f| {
            f.tampered(|xml| {
                let start = xml.find("<ds:DigestValue>").unwrap();
                let end = xml.find("</ds:DigestValue>").unwrap();
                format!("{}<ds:DigestValue>{}", &xml[..start], &xml[end..])
            })
        },
    },
    Case {
        name: "no reference",
        expect: "signature-malformed",
        form: |f| {
            f.tampered(|xml| {
                let start = xml.find("<ds:Reference ").unwrap();
                let end = xml.find("</ds:SignedInfo>").unwrap();
                format!("{}{}", &xml[..start], &xml[end..])
            })
        },
    },
    Case {
        name: "a second reference",
        expect: "signature-malformed",
        form: |f| {
            let more = format!(
                "<ds:Reference URI=\"\"><ds:Transforms>{}</ds:Transforms><ds:DigestMethod Algorithm=\"{XENC}sha256\"/>\
                 <ds:DigestValue>AAAA</ds:DigestValue></ds:Reference>",
                transforms(&[ENVELOPED, EXCLUSIVE])
            );
            f.signed_by(&Sig { more: &more, ..Sig::default() })
        },
    },
    Case { name: "a reference to the whole document", expect: "reference-refused", form: |f| refers_to(f, "") },
    Case { name: "a reference to the response", expect: "reference-refused", form: |f| refers_to(f, "#_response") },
    Case { name: "a reference over http", expect: "reference-refused", form: |f| refers_to(f, "http://127.0.0.1:9/x") },
    Case { name: "a reference over ftp", expect: "reference-refused", form: |f| refers_to(f, "ftp://127.0.0.1:9/x") },
    Case { name: "a reference to a file", expect: "reference-refused", form: |f| refers_to(f, "file:///etc/passwd") },
    Case {
        name: "a reference by XPointer",
        expect: "reference-refused",
        form: |f| refers_to(f, "#xpointer(id('_assertion'))"),
    },
    Case {
        name: "an XSLT transform",
        expect: "transform-refused",
        form: |f| {
            with_transform(
                f,
                "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"><xsl:stylesheet \
                 xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\" version=\"1.0\"><xsl:template match=\"/\"/>\
                 </xsl:stylesheet></ds:Transform>",
            )
        },
    },
    Case {
        name: "an XPath transform",
        expect: "transform-refused",
        form: |f| {
            with_transform(
                f,
                "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>\
                 count(//. | //@* | //namespace::*) &gt; 0</ds:XPath></ds:Transform>",
            )
        },
    },
    Case {
        name: "an XPath filter",
        expect: "transform-refused",
        form: |f| with_transform(f, "<ds:Transform Algorithm=\"http://www.w3.org/2002/06/xmldsig-filter2\"/>"),
    },
    Case {
        name: "a base64 transform",
        expect: "transform-refused",
        form: |f| with_transform(f, "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#base64\"/>"),
    },
    Case {
        name: "no canonicalization among the transforms",
        expect: "signature-malformed",
        form: |f| f.signed_by(&Sig { transforms: Some(&transforms(&[ENVELOPED])), ..Sig::default() }),
    },
    Case {
        name: "inclusive canonicalization, which depends on what stands around",
        expect: "transform-refused",
        form: |f| {
            let list = transforms(&[ENVELOPED, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"]);
            f.signed_by(&Sig { transforms: Some(&list), ..Sig::default() })
        },
    },
    Case {
        name: "a canonicalization nobody knows",
        expect: "transform-refused",
        form: |f| f.signed_by(&Sig { canonicalization: "urn:nothing", ..Sig::default() }),
    },
    Case {
        name: "hundreds of inclusive prefixes",
        expect: "transform-refused",
        form: |f| {
            let prefixes: Vec<String> = (0..500).map(|i| format!("p{i}")).collect();
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            f.signed_by(&Sig { inclusive: &prefixes, ..Sig::default() })
        },
    },
    Case {
        name: "an Object in the signature",
        expect: "element-misplaced",
        form: |f| f.signed_by(&Sig { key_info: Some("<ds:Object>x</ds:Object>".to_owned()), ..Sig::default() }),
    },
    Case {
        name: "a Manifest in the signature",
        expect: "element-misplaced",
        form: |f| {
            let manifest = "<ds:KeyInfo><ds:Manifest/></ds:KeyInfo>".to_owned();
            f.signed_by(&Sig { key_info: Some(manifest), ..Sig::default() })
        },
    },
    Case {
        name: "a key to be fetched",
        expect: "element-misplaced",
        form: |f| {
            let fetch = "<ds:KeyInfo><ds:RetrievalMethod URI=\"http://127.0.0.1:9/key\"/></ds:KeyInfo>".to_owned();
            f.signed_by(&Sig { key_info: Some(fetch), ..Sig::default() })
        },
    },
    // IDs.
    Case {
        name: "one ID twice",
        expect: "id-duplicate",
        form: |f| f.tampered(|xml| xml.replace(RESPONSE_ID, ASSERTION_ID)),
    },
    Case {
        name: "the same ID as xml:id",
        expect: "xml-attribute-refused",
        form: |f| f.tampered(|xml| xml.replace("<samlp:Status>", "<samlp:Status xml:id=\"_assertion\">")),
    },
    Case {
        name: "an ID attribute of another namespace",
        expect: "id-invalid",
        form: |f| f.tampered(|xml| xml.replace("<samlp:Status>", "<samlp:Status samlp:ID=\"_x\">")),
    },
    Case {
        name: "an ID that is no name",
        expect: "id-invalid",
        form: |f| f.tampered(|xml| xml.replace(ASSERTION_ID, "1 2")),
    },
    Case {
        name: "one attribute twice",
        expect: "xml-malformed",
        form: |f| f.tampered(|xml| xml.replacen(" Version=\"2.0\"", " Version=\"2.0\" Version=\"2.0\"", 1)),
    },
    Case {
        name: "the same attribute under two prefixes",
        expect: "xml-malformed",
        form: |f| {
            f.tampered(|xml| {
                xml.replace("<samlp:Status>", "<samlp:Status xmlns:a=\"urn:x\" xmlns:b=\"urn:x\" a:c=\"1\" b:c=\"2\">")
            })
        },
    },
    // Markup.
    Case {
        name: "a comment in the NameID",
        expect: "comment-refused",
        form: |f| f.signed(|p| p.name_id = "<saml:NameID>admin<!-- -->.asha</saml:NameID>".to_owned()),
    },
    Case {
        name: "a comment in the NameID, put in after signing",
        expect: "comment-refused",
        form: |f| f.tampered(|xml| xml.replace(">asha<", ">a<!---->sha<")),
    },
    Case {
        name: "a comment in an attribute's value",
        expect: "comment-refused",
        form: |f| f.signed(|p| p.attributes = attributes(&[("groups", &["admins<!-- -->-not"])])),
    },
    Case {
        name: "a processing instruction in the NameID",
        expect: "processing-instruction-refused",
        form: |f| f.tampered(|xml| xml.replace(">asha<", ">a<?x y?>sha<")),
    },
    Case {
        name: "a CDATA section in the NameID",
        expect: "cdata-refused",
        form: |f| f.tampered(|xml| xml.replace(">asha<", "><![CDATA[asha]]><")),
    },
    Case {
        name: "an element in the NameID",
        expect: "element-not-text",
        form: |f| f.signed(|p| p.name_id = "<saml:NameID>asha<saml:X>admin</saml:X></saml:NameID>".to_owned()),
    },
    Case { name: "a DOCTYPE", expect: "doctype-refused", form: |f| f.tampered(|xml| format!("<!DOCTYPE x>{xml}")) },
    Case {
        name: "an entity for the NameID",
        expect: "doctype-refused",
        form: |f| {
            f.tampered(|xml| format!("<!DOCTYPE x [<!ENTITY who \"admin\">]>{}", xml.replace(">asha<", ">&who;<")))
        },
    },
    Case {
        name: "an entity that grows without end",
        expect: "doctype-refused",
        form: |f| {
            f.tampered(|xml| {
                let grow: String = (1..12).map(|i| format!("<!ENTITY e{i} \"&e{0};&e{0};\">", i - 1)).collect();
                format!("<!DOCTYPE x [<!ENTITY e0 \"ha\">{grow}]>{}", xml.replace(">asha<", ">&e11;<"))
            })
        },
    },
    Case {
        name: "an external entity",
        expect: "doctype-refused",
        form: |f| f.tampered(|xml| format!("<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>{xml}")),
    },
    Case {
        name: "an external DTD",
        expect: "doctype-refused",
        form: |f| f.tampered(|xml| format!("<!DOCTYPE x SYSTEM \"http://127.0.0.1:9/x.dtd\">{xml}")),
    },
    Case {
        name: "an ID by ATTLIST",
        expect: "doctype-refused",
        form: |f| f.tampered(|xml| format!("<!DOCTYPE x [<!ATTLIST x id ID #IMPLIED>]>{xml}")),
    },
    Case {
        name: "an entity nobody defined",
        expect: "xml-malformed",
        form: |f| f.tampered(|xml| xml.replace(">asha<", ">&who;<")),
    },
    Case {
        name: "a relative namespace, which makes canonicalization void",
        expect: "namespace-refused",
        form: |f| f.tampered(|xml| xml.replace("<saml:Subject>", "<saml:Subject xmlns:v=\"1\">")),
    },
    Case {
        name: "a prefix bound to nothing",
        expect: "namespace-refused",
        form: |f| f.tampered(|xml| xml.replace("<saml:Subject>", "<saml:Subject xmlns:v=\"\">")),
    },
    Case {
        name: "a prefix nobody declared",
        expect: "xml-malformed",
        form: |f| f.tampered(|xml| xml.replace("<saml:Subject>", "<saml:Subject><v:x/>")),
    },
    Case {
        name: "an element with a name of a megabyte",
        expect: "xml-malformed",
        form: |f| f.tampered(|xml| xml.replace("<saml:Subject>", &format!("<saml:{}>", "x".repeat(900_000)))),
    },
    Case {
        name: "an issuer of a megabyte",
        expect: "issuer-wrong",
        form: |f| f.signed(|p| p.issuer = Some("x".repeat(900_000))),
    },
    Case {
        name: "a misplaced element with a namespace of a megabyte",
        expect: "element-misplaced",
        form: |f| {
            let other = format!("<x:Assertion xmlns:x=\"urn:{}\"/>", "x".repeat(900_000));
            f.tampered(|xml| xml.replace("<samlp:Status>", &format!("<samlp:Status>{other}")))
        },
    },
    Case {
        name: "a name with two colons",
        expect: "xml-name-refused",
        form: |f| f.tampered(|xml| xml.replace("saml:Conditions", "saml:x:Conditions")),
    },
    // Form and size.
    Case { name: "no base64", expect: "base64-malformed", form: |_| "<samlp:Response/>".to_owned() },
    Case { name: "nothing", expect: "xml-malformed", form: |_| String::new() },
    Case { name: "base64 for URLs", expect: "base64-malformed", form: |_| "PHg_Pj4-".to_owned() },
    Case { name: "base64 without its end", expect: "base64-malformed", form: |f| f.signed(|_| {}) + "A" },
    Case {
        name: "base64 with something behind it",
        expect: "base64-malformed",
        form: |_| "PHgvPg==PHgvPg==".to_owned(),
    },
    Case {
        name: "half a document",
        expect: "xml-malformed",
        form: |f| f.tampered(|xml| xml[..xml.len() / 2].to_owned()),
    },
    Case {
        name: "a document without its last tag",
        expect: "xml-malformed",
        form: |f| f.tampered(|xml| xml.trim_end_matches("</samlp:Response>").to_owned()),
    },
    Case { name: "junk behind the document", expect: "xml-malformed", form: |f| f.tampered(|xml| xml + "junk") },
    Case { name: "two documents", expect: "xml-malformed", form: |f| f.tampered(|xml| format!("{xml}{xml}")) },
    Case {
        name: "UTF-16 with a byte-order mark",
        expect: "encoding-refused",
        form: |f| {
            let units = format!("\u{feff}{}", f.honest());
            STANDARD.encode(units.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
        },
    },
    Case {
        name: "an XML declaration that promises UTF-16",
        expect: "encoding-refused",
        form: |f| f.tampered(|xml| format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{xml}")),
    },
    Case {
        name: "an XML declaration that promises UTF-7",
        expect: "encoding-refused",
        form: |f| f.tampered(|xml| format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{xml}")),
    },
    Case {
        name: "bytes that are no UTF-8",
        expect: "encoding-refused",
        form: |f| STANDARD.encode([f.honest().as_bytes(), b"\xff\xfe"].concat()),
    },
    Case {
        name: "a zero byte in the NameID",
        expect: "xml-malformed",
        form: |f| f.tampered(|xml| xml.replace(">asha<", ">asha\0admin<")),
    },
    Case {
        name: "more bytes than allowed",
        expect: "too-large",
        form: |f| f.tampered(|xml| xml.replace(">asha<", &format!(">{}<", "a".repeat(1_100_000)))),
    },
    Case {
        name: "elements nested too deep",
        expect: "too-deep",
        form: |f| {
            let deep = "<saml:x>".repeat(5000) + &"</saml:x>".repeat(5000);
            f.tampered(|xml| xml.replace("</saml:Subject>", &format!("{deep}</saml:Subject>")))
        },
    },
    Case {
        name: "too many elements",
        expect: "too-many-elements",
        form: |f| {
            f.tampered(|xml| xml.replace("</saml:Subject>", &format!("{}</saml:Subject>", "<saml:x/>".repeat(60_000))))
        },
    },
    Case {
        name: "too many attributes in one element",
        expect: "too-many-attributes",
        form: |f| {
            let many: String = (0..20_000).map(|i| format!(" a{i}=\"\"")).collect();
            f.tampered(|xml| xml.replace("<saml:Subject>", &format!("<saml:Subject{many}>")))
        },
    },
    Case {
        name: "too many namespaces in one document",
        expect: "too-many-namespaces",
        form: |f| {
            let many: String = (0..10_000).map(|i| format!("<saml:x xmlns:n{i}=\"urn:{i}\"/>")).collect();
            f.tampered(|xml| xml.replace("</saml:Subject>", &format!("{many}</saml:Subject>")))
        },
    },
    Case {
        name: "the largest honest size, unsigned",
        expect: "signature-missing",
        form: |f| {
            let parts = f.with(|p| p.attributes = many_groups(15_000));
            form(&parts.response(&parts.assertion()))
        },
    },
    Case {
        name: "the largest honest size, signed by a stranger",
        expect: "signature-invalid",
        form: |f| {
            let parts = f.with(|p| p.attributes = many_groups(15_000));
            let sig = Sig { who: Who::Stranger, ..Sig::default() };
            form(&parts.response(&sign(&parts.assertion(), ASSERTION_ID, &sig)))
        },
    },
    // Encryption.
    Case {
        name: "encrypted with RSA 1.5",
        expect: "encryption-algorithm-refused",
        form: |f| {
            let transport = format!("{XENC}rsa-1_5");
            f.encrypted(&Encryption { transport: &transport, ..Encryption::default() })
        },
    },
    Case {
        name: "encrypted with triple DES",
        expect: "encryption-algorithm-refused",
        form: |f| {
            let bulk = format!("{XENC}tripledes-cbc");
            f.encrypted(&Encryption { bulk: &bulk, ..Encryption::default() })
        },
    },
    Case {
        name: "encrypted, the ciphertext cut short (GCM)",
        expect: "decryption-failed",
        form: |f| f.encrypted(&Encryption { damage: |sealed| sealed.truncate(5), ..Encryption::default() }),
    },
    Case {
        name: "encrypted, the ciphertext cut short (CBC)",
        expect: "decryption-failed",
        form: |f| {
            let bulk = format!("{XENC}aes256-cbc");
            f.encrypted(&Encryption { bulk: &bulk, damage: |sealed| sealed.truncate(20), ..Encryption::default() })
        },
    },
    Case {
        name: "encrypted, no ciphertext",
        expect: "decryption-failed",
        form: |f| f.encrypted(&Encryption { damage: Vec::clear, ..Encryption::default() }),
    },
    Case {
        name: "encrypted, a bit changed (GCM)",
        expect: "decryption-failed",
        form: |f| f.encrypted(&Encryption { damage: |sealed| sealed[100] ^= 1, ..Encryption::default() }),
    },
    Case {
        name: "encrypted, the padding changed (CBC)",
        expect: "decryption-failed",
        form: |f| {
            let bulk = format!("{XENC}aes128-cbc");
            let damage: fn(&mut Vec<u8>) = |sealed| {
                let last = sealed.len() - 17;
                sealed[last] ^= 0xff;
            };
            f.encrypted(&Encryption { bulk: &bulk, damage, ..Encryption::default() })
        },
    },
    Case {
        name: "encrypted, a block changed (CBC)",
        expect: "decryption-failed",
        form: |f| {
            let bulk = format!("{XENC}aes128-cbc");
            f.encrypted(&Encryption { bulk: &bulk, damage: |sealed| sealed[200] ^= 0x80, ..Encryption::default() })
        },
    },
    Case {
        name: "encrypted with another algorithm than announced",
        expect: "decryption-failed",
        form: |f| {
            let announced = format!("{XENC}aes256-cbc");
            f.encrypted(&Encryption { announced: Some(&announced), ..Encryption::default() })
        },
    },
    Case {
        name: "encrypted text that is no UTF-8",
        expect: "decryption-failed",
        form: |f| form(&f.parts().response(&f.encrypt(b"<saml:Assertion \xff\xfe/>", &Encryption::default()))),
    },
    Case {
        name: "encrypted text that is no assertion",
        expect: "decryption-failed",
        form: |f| form(&f.parts().response(&f.encrypt(f.honest().as_bytes(), &Encryption::default()))),
    },
    Case {
        name: "encrypted by a stranger for us, without any signature",
        expect: "signature-missing",
        form: |f| {
            let assertion = f.with(|p| p.name_id = ADMIN.to_owned()).assertion();
            form(&f.parts().response(&f.encrypt(assertion.as_bytes(), &Encryption::default())))
        },
    },
    Case {
        name: "encrypted, signed inside by a stranger",
        expect: "signature-invalid",
        form: |f| {
            let sig = Sig { who: Who::Stranger, ..Sig::default() };
            let assertion = sign(&f.parts().assertion(), ASSERTION_ID, &sig);
            form(&f.parts().response(&f.encrypt(assertion.as_bytes(), &Encryption::default())))
        },
    },
    Case {
        name: "encrypted in a signed response, signed inside by a stranger",
        expect: "signature-invalid",
        form: |f| {
            let parts = f.parts();
            let sig = Sig { who: Who::Stranger, ..Sig::default() };
            let assertion = sign(&parts.assertion(), ASSERTION_ID, &sig);
            let encrypted = f.encrypt(assertion.as_bytes(), &Encryption::default());
            form(&sign(&parts.response(&encrypted), RESPONSE_ID, &Sig::default()))
        },
    },
    Case {
        name: "encrypted, with a DOCTYPE inside",
        expect: "decryption-failed",
        form: |f| {
            let inner = format!("<!DOCTYPE x>{}", pieces(f).signed);
            form(&f.parts().response(&f.encrypt(inner.as_bytes(), &Encryption::default())))
        },
    },
    Case {
        name: "a ciphertext to be fetched",
        expect: "element-misplaced",
        form: |f| {
            let fetched = f.encrypt(b"x", &Encryption::default());
            let start = fetched.rfind("<xenc:CipherValue>").unwrap();
            let end = fetched.rfind("</xenc:CipherValue>").unwrap() + "</xenc:CipherValue>".len();
            let fetched =
                format!("{}<xenc:CipherReference URI=\"http://127.0.0.1:9/x\"/>{}", &fetched[..start], &fetched[end..]);
            form(&f.parts().response(&fetched))
        },
    },
    Case {
        name: "a decryption key to be fetched",
        expect: "encryption-malformed",
        form: |f| {
            let parts = f.parts();
            let encrypted = f.encrypt(b"x", &Encryption { beside: true, ..Encryption::default() });
            form(&parts.response(&encrypted.replace("URI=\"#_key\"", "URI=\"http://127.0.0.1:9/key\"")))
        },
    },
    Case {
        name: "a NameID encrypted by itself",
        expect: "name-id-encrypted",
        form: |f| f.signed(|p| p.name_id = "<saml:EncryptedID/>".to_owned()),
    },
    // What it says.
    Case {
        name: "a refusal by the provider",
        expect: "status-not-success",
        form: |f| form(&f.with(|p| p.status = status("urn:oasis:names:tc:SAML:2.0:status:AuthnFailed")).response("")),
    },
    Case {
        name: "a refusal with an assertion",
        expect: "status-not-success",
        form: |f| f.signed(|p| p.status = status("urn:oasis:names:tc:SAML:2.0:status:NoPassive")),
    },
    Case {
        name: "a refusal of another request",
        expect: "in-response-to-wrong",
        form: |f| {
            let parts = f.with(|p| {
                p.status = status("urn:oasis:names:tc:SAML:2.0:status:AuthnFailed");
                p.response_to = Some("_other".to_owned());
            });
            form(&parts.response(""))
        },
    },
    Case { name: "no status", expect: "status-missing", form: |f| f.signed(|p| p.status.clear()) },
    Case { name: "no assertion", expect: "assertion-missing", form: |f| form(&f.parts().response("")) },
    Case {
        name: "a response of version 1.1",
        expect: "version-wrong",
        form: |f| f.response_signed(|p| p.response_version = Some("1.1".to_owned())),
    },
    Case { name: "an assertion without version", expect: "version-wrong", form: |f| f.signed(|p| p.version = None) },
    Case { name: "an assertion without issuer", expect: "issuer-missing", form: |f| f.signed(|p| p.issuer = None) },
    Case {
        name: "an assertion of another issuer",
        expect: "issuer-wrong",
        form: |f| f.signed(|p| p.issuer = Some("https://other.example".to_owned())),
    },
    Case {
        name: "an issuer with a slash too many",
        expect: "issuer-wrong",
        form: |f| f.signed(|p| p.issuer = Some(format!("{IDP}/"))),
    },
    Case {
        name: "a response of another issuer",
        expect: "issuer-wrong",
        form: |f| f.response_signed(|p| p.response_issuer = Some("https://other.example".to_owned())),
    },
    Case {
        name: "two issuers in the assertion",
        expect: "element-repeated",
        form: |f| f.signed(|p| p.issuer = Some(format!("{IDP}</saml:Issuer><saml:Issuer>{IDP}"))),
    },
    Case {
        name: "a destination elsewhere",
        expect: "destination-wrong",
        form: |f| f.response_signed(|p| p.destination = Some("https://other.example/acs".to_owned())),
    },
    Case {
        name: "an unsigned destination elsewhere",
        expect: "destination-wrong",
        form: |f| f.signed(|p| p.destination = Some("https://other.example/acs".to_owned())),
    },
    Case {
        name: "a signed response without destination",
        expect: "destination-missing",
        form: |f| f.response_signed(|p| p.destination = None),
    },
    Case {
        name: "a response to another request",
        expect: "in-response-to-wrong",
        form: |f| f.signed(|p| p.response_to = Some("_other".to_owned())),
    },
    Case {
        name: "a response to no request",
        expect: "in-response-to-missing",
        form: |f| f.signed(|p| p.response_to = None),
    },
    Case {
        name: "a confirmation for another request",
        expect: "in-response-to-wrong",
        form: |f| f.signed(|p| p.confirmation_to = Some("_other".to_owned())),
    },
    Case {
        name: "a confirmation for no request",
        expect: "in-response-to-missing",
        form: |f| f.signed(|p| p.confirmation_to = None),
    },
    Case { name: "no subject", expect: "subject-missing", form: |f| f.signed(|p| p.no_subject = true) },
    Case { name: "no NameID", expect: "name-id-missing", form: |f| f.signed(|p| p.name_id.clear()) },
    Case {
        name: "an empty NameID",
        expect: "subject-empty",
        form: |f| f.signed(|p| p.name_id = "<saml:NameID> \n </saml:NameID>".to_owned()),
    },
    Case {
        name: "two NameIDs",
        expect: "element-repeated",
        form: |f| f.signed(|p| p.name_id = format!("{ADMIN}<saml:NameID>asha</saml:NameID>")),
    },
    Case {
        name: "two subjects",
        expect: "element-repeated",
        form: |f| f.signed(|p| p.authn.push_str(&format!("<saml:Subject>{ADMIN}</saml:Subject>"))),
    },
    Case {
        name: "a NameID with a line break in it",
        expect: "subject-unusable",
        form: |f| f.signed(|p| p.name_id = "<saml:NameID>asha&#10;admin</saml:NameID>".to_owned()),
    },
    Case {
        name: "a NameID of a megabyte",
        expect: "subject-unusable",
        form: |f| f.signed(|p| p.name_id = format!("<saml:NameID>{}</saml:NameID>", "a".repeat(900_000))),
    },
    Case {
        name: "a confirmation by holder of key",
        expect: "bearer-missing",
        form: |f| f.signed(|p| p.method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key".to_owned()),
    },
    Case { name: "no recipient", expect: "recipient-missing", form: |f| f.signed(|p| p.recipient = None) },
    Case {
        name: "another recipient",
        expect: "recipient-wrong",
        form: |f| f.signed(|p| p.recipient = Some("https://other.example/acs".to_owned())),
    },
    Case {
        name: "the recipient with another case",
        expect: "recipient-wrong",
        form: |f| f.signed(|p| p.recipient = p.recipient.take().map(|r| r.to_uppercase())),
    },
    Case {
        name: "a confirmation without end",
        expect: "confirmation-without-end",
        form: |f| f.signed(|p| p.confirmation_until = None),
    },
    Case {
        name: "a confirmation that is over",
        expect: "confirmation-expired",
        form: |f| f.signed(|p| p.confirmation_until = Some(f.at(-180))),
    },
    Case {
        name: "a confirmation that has a beginning",
        expect: "confirmation-has-not-before",
        form: |f| f.signed(|p| p.confirmation_from = Some(f.at(-60))),
    },
    Case {
        name: "a confirmation by bearer that is not said to be for us, beside one that is not bearer's",
        expect: "recipient-wrong",
        form: |f| {
            f.signed(|p| {
                p.name_id.push_str(&format!(
                    "<saml:SubjectConfirmation Method=\"{BEARER}:x\"><saml:SubjectConfirmationData \
                     NotOnOrAfter=\"{}\" Recipient=\"{}\"/></saml:SubjectConfirmation>",
                    f.at(300),
                    f.acs_url
                ));
                p.recipient = Some("https://other.example/acs".to_owned());
            })
        },
    },
    Case { name: "no conditions", expect: "conditions-missing", form: |f| f.signed(|p| p.no_conditions = true) },
    Case {
        name: "conditions twice",
        expect: "element-repeated",
        form: |f| f.signed(|p| p.authn.push_str("<saml:Conditions/>")),
    },
    Case { name: "no audience", expect: "audience-missing", form: |f| f.signed(|p| p.conditions.clear()) },
    Case {
        name: "another audience",
        expect: "audience-wrong",
        form: |f| f.signed(|p| p.conditions = audience("https://other.example")),
    },
    Case {
        name: "an empty audience restriction",
        expect: "audience-wrong",
        form: |f| f.signed(|p| p.conditions = "<saml:AudienceRestriction/>".to_owned()),
    },
    Case {
        name: "two audience restrictions, one of them not ours",
        expect: "audience-wrong",
        form: |f| f.signed(|p| p.conditions.push_str(&audience("https://other.example"))),
    },
    Case {
        name: "AWS as the audience",
        expect: "audience-wrong",
        form: |f| f.signed(|p| p.conditions = audience("urn:amazon:webservices")),
    },
    Case {
        name: "a condition nobody knows",
        expect: "condition-unknown",
        form: |f| f.signed(|p| p.conditions.push_str("<x:Sometimes xmlns:x=\"urn:x\"/>")),
    },
    Case {
        name: "a condition that forbids passing on",
        expect: "proxy-restricted",
        form: |f| f.signed(|p| p.conditions.push_str("<saml:ProxyRestriction Count=\"0\"/>")),
    },
    Case {
        name: "not valid yet",
        expect: "not-yet-valid",
        form: |f| f.signed(|p| p.conditions_from = Some(f.at(181))),
    },
    Case {
        name: "no longer valid, to the second",
        expect: "expired",
        form: |f| f.signed(|p| p.conditions_until = Some(f.at(-180))),
    },
    Case {
        name: "an assertion issued in the future",
        expect: "issued-in-future",
        form: |f| f.signed(|p| p.instant = Some(f.at(181))),
    },
    Case {
        name: "an assertion issued long ago that claims to live long",
        expect: "issued-long-ago",
        form: |f| {
            f.signed(|p| {
                p.instant = Some(f.at(-780));
                p.conditions_until = Some(f.at(72_000));
                p.confirmation_until = Some(f.at(72_000));
            })
        },
    },
    Case {
        name: "a response issued long ago",
        expect: "issued-long-ago",
        form: |f| f.response_signed(|p| p.response_instant = Some(f.at(-780))),
    },
    Case { name: "no instant of issue", expect: "attribute-missing", form: |f| f.signed(|p| p.instant = None) },
    Case {
        name: "an instant without a zone",
        expect: "instant-malformed",
        form: |f| f.signed(|p| p.instant = Some(f.at(0).replace('Z', ""))),
    },
    Case {
        name: "an end at the end of time, and after",
        expect: "instant-malformed",
        form: |f| f.signed(|p| p.conditions_until = Some("99999-12-31T23:59:59Z".to_owned())),
    },
    Case { name: "no authentication", expect: "authn-statement-missing", form: |f| f.signed(|p| p.authn.clear()) },
    Case {
        name: "an authentication in the future",
        expect: "authn-in-future",
        form: |f| f.signed(|p| p.authn = p.authn.replace(&f.at(-5), &f.at(600))),
    },
    Case {
        name: "a session that is over",
        expect: "session-over",
        form: |f| {
            f.signed(|p| {
                let over = format!(" SessionNotOnOrAfter=\"{}\" SessionIndex", f.at(-180));
                p.authn = p.authn.replace(" SessionIndex", &over);
            })
        },
    },
    Case {
        name: "a signed assertion in a signed response that was not asked for by us",
        expect: "in-response-to-wrong",
        form: |f| {
            let parts = f.with(|p| {
                p.response_to = Some("_other".to_owned());
                p.confirmation_to = Some("_other".to_owned());
            });
            let assertion = sign(&parts.assertion(), ASSERTION_ID, &Sig::default());
            form(&sign(&parts.response(&assertion), RESPONSE_ID, &Sig::default()))
        },
    },
    Case {
        name: "a signature under a name that only looks like one",
        expect: "signature-missing",
        form: |f| {
            f.tampered(|xml| {
                let xml = xml.replace("<ds:Signature xmlns:ds", "<ds:Signatur xmlns:ds");
                xml.replace("</ds:Signature>", "</ds:Signatur>")
            })
        },
    },
];

//! Exclusive canonical XML over a roxmltree node: enough to sign with, written apart from the code under test.

use std::collections::BTreeMap;

use roxmltree::{Node, NodeId};

/// Canonicalises `node` without the subtree `skip`; `inclusive` prefixes are declared whether used or not.
pub fn exclusive(node: Node<'_, '_>, skip: Option<NodeId>, inclusive: &[&str]) -> String {
    let mut out = String::new();
    element(node, skip, inclusive, &BTreeMap::new(), &mut out);
    out
}

fn element(
    node: Node<'_, '_>,
    skip: Option<NodeId>,
    inclusive: &[&str],
    rendered: &BTreeMap<String, String>,
    out: &mut String,
) {
    let source = node.document().input_text();
    let tag = &source[node.range().start + 1..];
    let name = &tag[..tag.find([' ', '\t', '\r', '\n', '/', '>']).unwrap()];
    let prefix_of = |qname: &str| qname.split_once(':').map_or("", |(prefix, _)| prefix).to_owned();

    let mut attributes: Vec<(&str, &str, &str, &str)> = node
        .attributes()
        .map(|a| (a.namespace().unwrap_or(""), a.name(), &source[a.range_qname()], a.value()))
        .collect();
    attributes.sort_unstable();
    let mut used = vec![prefix_of(name)];
    used.extend(attributes.iter().filter(|a| !a.0.is_empty()).map(|a| prefix_of(a.2)));
    let in_scope = |prefix: &str| {
        node.lookup_namespace_uri(if prefix.is_empty() { None } else { Some(prefix) }).unwrap_or("").to_owned()
    };
    used.extend(
        inclusive
            .iter()
            .map(|p| if *p == "#default" { "" } else { p })
            .filter(|p| !in_scope(p).is_empty())
            .map(str::to_owned),
    );
    used.sort();
    used.dedup();

    let mut here = rendered.clone();
    out.push('<');
    out.push_str(name);
    for prefix in used.into_iter().filter(|prefix| prefix != "xml") {
        let uri = in_scope(&prefix);
        if rendered.get(&prefix).map_or("", String::as_str) == uri {
            continue;
        }
        out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        out.push_str(&prefix);
        out.push_str("=\"");
        escape(&uri, true, out);
        out.push('"');
        here.insert(prefix, uri);
    }
    for (_, _, qname, value) in attributes {
        out.push(' ');
        out.push_str(qname);
        out.push_str("=\"");
        escape(value, true, out);
        out.push('"');
    }
    out.push('>');
    for child in node.children() {
        if Some(child.id()) == skip || child.is_comment() {
            continue;
        }
        if let Some(pi) = child.pi() {
            out.push_str(&format!("<?{} {}?>", pi.target, pi.value.unwrap_or("")));
        } else if child.is_element() {
            element(child, skip, inclusive, &here, out);
        } else {
            escape(child.text().unwrap_or(""), false, out);
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn escape(text: &str, attribute: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' if !attribute => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\t' if attribute => out.push_str("&#x9;"),
            '\n' if attribute => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
}

//! The pages held to the files they quote, to the rule they explain, and to the gateway they describe.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use snowgate::domain::change::ChangeKind;

use crate::support::home::key_of;
use crate::support::{Home, Instance, Reply};
use crate::tools::{blocks, text_of};

const ADMIN: &str = "docs/servicenow-admin.md";
const MANAGED: &str = "docs/managed-service.md";

#[test]
fn the_receivers_are_quoted_as_they_are() {
    let page = text_of(MANAGED);
    for (language, file) in [
        ("javascript", "examples/receivers/node/receiver.js"),
        ("python", "examples/receivers/python/receiver.py"),
        ("rust", "examples/receivers/rust/main.rs"),
    ] {
        let quoted = blocks(&page, language);
        assert!(quoted.contains(&text_of(file)), "{MANAGED} does not quote {file} as it is");
    }
}

/// Every `snowgate.name` in a text.
fn properties(text: &str) -> BTreeSet<String> {
    let names = text.split("snowgate.").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default().to_owned()
    });
    names.filter(|name| !["yaml", "", "db", "service"].contains(&name.as_str())).collect()
}

#[test]
fn every_property_that_the_rule_reads_is_explained_and_no_other() {
    let rule = text_of("deploy/servicenow/business-rule.js");
    let (comment, code) = rule.split_once("*/").expect("a header");
    assert_eq!(properties(comment), properties(code), "the rule's own header");
    assert_eq!(properties(&text_of(ADMIN)), properties(code), "{ADMIN}");
}

#[test]
fn every_column_that_the_rule_sends_is_named_for_the_admin() {
    let (rule, page) = (text_of("deploy/servicenow/business-rule.js"), text_of(ADMIN));
    let lists = rule.split("];").take(2).map(|part| part.rsplit_once('[').expect("a list").1);
    let columns: Vec<&str> = lists.flat_map(|list| list.split('\'').skip(1).step_by(2)).collect();
    assert!(columns.len() > 20, "{columns:?}");
    let missing: Vec<_> = columns.into_iter().filter(|column| !page.contains(&format!("`{column}`"))).collect();
    assert!(missing.is_empty(), "{ADMIN} does not say that these leave the instance: {missing:?}");
}

#[test]
fn the_readme_leads_to_both_pages() {
    let readme = text_of("README.md");
    for page in [ADMIN, MANAGED] {
        assert!(readme.contains(&format!("({page})")), "{page}");
    }
}

#[test]
fn every_type_of_event_and_of_callback_is_on_the_page() {
    let page = text_of(MANAGED);
    for word in ChangeKind::WORDS {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
    let examples = blocks(&page, "json callback");
    let parsed = examples.iter().map(|example| serde_json::from_str::<Value>(example).expect("JSON"));
    let types: BTreeSet<String> = parsed.map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
    let expected = ["attachment_added", "changed", "linked", "message_added", "opened", "parked"];
    assert_eq!(types.into_iter().collect::<Vec<_>>(), expected.map(|name| format!("ticket.{name}")));
}

#[tokio::test]
async fn the_gateway_takes_every_event_of_the_page() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let examples = blocks(&text_of(MANAGED), "json event");
    assert!(examples.len() >= 5, "{} examples", examples.len());
    for example in examples {
        let request = gateway.request(Method::POST, "/v1/tenants/contoso/events").bearer_auth(key_of("contoso"));
        let request = request.header("content-type", "application/cloudevents+json").body(example.clone());
        let reply = Reply::of(request).await.expect("an answer");
        assert_eq!(reply.status, 202, "{}\n{example}", reply.text);
    }
    gateway.quiet().await;
}

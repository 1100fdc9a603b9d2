//! `snowgate key` and `snowgate schema`.

use sha2::{Digest, Sha256};
use standardwebhooks::Webhook;

use crate::run::Run;
use crate::support::Home;

#[test]
fn a_new_key_comes_with_the_hash_for_the_tenants_file() {
    let home = Home::of(&[]);
    let json = Run::of(&home, &["key", "new", "--json"]).expect(0).json();
    let (key, hash) = (json["key"].as_str().expect("a key"), json["api_key_sha256"].as_str().expect("a hash"));
    let expected = Sha256::digest(key).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(hash, expected);
    assert!(key.starts_with("sgk_") && key.len() == 47, "{key}");
    let again = Run::of(&home, &["key", "new", "--json"]).expect(0).json();
    assert_ne!(again["key"], json["key"]);
    let shown = Run::of(&home, &["key", "new"]).expect(0);
    assert!(shown.out.contains("api_key_sha256") && shown.out.contains("sgk_"), "{shown:#?}");
}

#[test]
fn a_signature_is_one_that_others_accept() {
    let home = Home::of(&[]);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    home.write("secret", &format!("{secret}\n"));
    let body = "{\"any\": \"bytes\"}\n";
    home.write("body.json", body);
    let arguments = ["key", "sign", "body.json", "--secret-file", "secret", "--id", "msg-7"];
    let shown = Run::of(&home, &arguments).expect(0);
    assert!(!shown.whole().contains(secret), "a given secret is not repeated: {shown:#?}");
    let header = |name: &str| {
        let line = shown.out.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} in {shown:#?}")).to_owned()
    };
    let webhook = Webhook::new(secret).expect("a secret");
    let timestamp = header("webhook-timestamp").parse().expect("seconds");
    assert_eq!(header("webhook-id"), "msg-7");
    assert_eq!(header("webhook-signature"), webhook.sign("msg-7", timestamp, body.as_bytes()).expect("a signature"));
    let piped = Run::with_input(&home, &["key", "sign", "-", "--json"], body).expect(0);
    assert!(piped.err.contains("whsec_"), "a made secret is told beside the answer: {piped:#?}");
    assert!(piped.json()["webhook-signature"].as_str().is_some_and(|text| text.starts_with("v1,")), "{piped:#?}");
}

#[test]
fn a_wrong_secret_is_refused_and_not_repeated() {
    let home = Home::of(&[]);
    home.write("secret", "whsec_hunter2");
    let run = Run::with_input(&home, &["key", "sign", "-", "--secret-file", "secret"], "{}");
    assert!(run.code != Some(0) && !run.whole().contains("hunter2") && run.err.contains("secret"), "{run:#?}");
}

#[test]
fn the_schemas_describe_the_files() {
    let home = Home::of(&[]);
    for (of, property) in [("mapping", "to_ticket"), ("tenant", "servicenow"), ("settings", "egress")] {
        let schema = Run::of(&home, &["schema", of]).expect(0).json();
        assert!(schema["$schema"].as_str().is_some_and(|draft| draft.contains("json-schema.org")), "{of}");
        assert!(schema.pointer(&format!("/properties/{property}")).is_some(), "{of}: {schema:#}");
    }
}

#[test]
fn a_new_key_can_be_confined_and_given_an_end_and_the_entry_is_ready_to_paste() {
    let home = Home::of(&[]);
    let arguments =
        ["key", "new", "--name", "alerts", "--scopes", "sources/alertmanager,deliveries", "--expires", "2027-01-31"];
    let shown = Run::of(&home, &arguments).expect(0);
    let entry = shown.out.lines().last().expect("the entry").trim();
    let (name, rest) = entry.split_once(", api_key_sha256: \"").expect("a name, then the hash");
    assert_eq!(name, "- {name: alerts");
    assert_eq!(
        rest.get(64..).expect("the hash"),
        "\", scopes: [sources/alertmanager, deliveries], expires: \"2027-01-31\"}"
    );
    for (option, wrong) in [("--scopes", "everything"), ("--expires", "soon"), ("--name", "Ops Team")] {
        let refused = Run::of(&home, &["key", "new", option, wrong]).expect(1);
        assert!(refused.err.contains(wrong) && refused.out.is_empty(), "{refused:#?}");
    }
}

//! Attachments through their API and as rows. Facts: facts/servicenow 6.2.

use serde_json::{Value, json};

use super::super::attachments::Upload;
use super::*;

const API: &str = "/api/now/attachment";
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn upload(instance: &mut Instance, ticket: &str, name: &str, content: &[u8]) -> Response {
    let target = format!("{API}/file?table_name=incident&table_sys_id={ticket}&file_name={name}");
    let request =
        Request { body: content.to_vec(), ..signed("POST", &target).with_header("Content-Type", "text/plain") };
    instance.handle(&request, NOW)
}

fn attached(instance: &mut Instance, ticket: &str, name: &str) -> String {
    let answer = upload(instance, ticket, name, b"hello").value().expect("json");
    answer["result"]["sys_id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_file_goes_up_is_found_comes_down_and_goes() {
    let mut instance = instance(Switches::default());
    let ticket = create(&mut instance, &json!({}));
    let answer = upload(&mut instance, &ticket, "B%C3%BCro%201.txt", b"hello");
    assert_eq!(answer.status, 201);
    let metadata = answer.value().expect("json")["result"].clone();
    let id = metadata["sys_id"].as_str().expect("an id").to_owned();
    let link = format!("https://example.service-now.com{API}/{id}/file");
    for (name, wanted) in [
        ("file_name", "Büro 1.txt"),
        ("content_type", "text/plain"),
        ("size_bytes", "5"),
        ("table_name", "incident"),
        ("table_sys_id", &ticket),
        ("hash", HELLO),
        ("download_link", &link),
        ("sys_created_by", "snowgate"),
    ] {
        assert_eq!(metadata[name], json!(wanted), "{name}");
    }
    let location = format!("https://example.service-now.com{API}/{id}");
    assert_eq!(answer.header("Location"), Some(location.as_str()));

    let list = format!("{API}?sysparm_query=table_sys_id={ticket}");
    check(&mut instance, ("GET", &list, Value::Null), 200, &[("/result/0/hash", json!(HELLO))]);
    assert_eq!(send(&mut instance, "GET", &list, &Value::Null).header("X-Total-Count"), Some("1"));
    check(&mut instance, ("GET", &format!("{API}/{id}"), Value::Null), 200, &[("/result/download_link", json!(link))]);
    let content = send(&mut instance, "GET", &format!("/api/now/v1/attachment/{id}/file"), &Value::Null);
    assert_eq!((content.status, content.body.as_slice()), (200, b"hello".as_slice()));
    assert_eq!(content.header("Content-Type"), Some("text/plain"));
    assert!(content.header("X-Attachment-Metadata").is_some_and(|text| text.is_ascii() && text.contains(HELLO)));

    let rows = "/api/now/table/sys_attachment?sysparm_query=table_name=incident^sys_created_on>=2026-11-22 06:00:00";
    check(
        &mut instance,
        ("GET", rows, Value::Null),
        200,
        &[("/result/0/sys_id", json!(id)), ("/result/1", Value::Null)],
    );
    check(
        &mut instance,
        ("GET", &format!("{TABLE}/{ticket}"), Value::Null),
        200,
        &[("/result/sys_mod_count", json!("0"))],
    );
    check(&mut instance, ("DELETE", &format!("{API}/{id}"), Value::Null), 204, &[]);
    check(&mut instance, ("GET", &format!("{API}/{id}"), Value::Null), 404, &[]);
    check(&mut instance, ("GET", &format!("{API}/{id}/file"), Value::Null), 404, &[]);
}

#[test]
fn refusals_are_those_of_the_reference() {
    let mut instance = instance(Switches::default());
    let ticket = create(&mut instance, &json!({}));
    let post = |instance: &mut Instance, query: &str| {
        let request = signed("POST", &format!("{API}/file?{query}")).with_header("Content-Type", "text/plain");
        instance.handle(&request, NOW).status
    };
    for query in [
        format!("table_sys_id={ticket}&file_name=a"),
        "table_name=incident&file_name=a".to_owned(),
        format!("table_name=incident&table_sys_id={ticket}"),
        format!("table_name=incident&table_sys_id={ticket}&file_name="),
    ] {
        assert_eq!(post(&mut instance, &query), 400, "{query}");
    }
    assert_eq!(post(&mut instance, &format!("table_name=incident&table_sys_id={CHOSEN}&file_name=a")), 404);
    let typeless = format!("{API}/file?table_name=incident&table_sys_id={ticket}&file_name=a");
    assert_eq!(send(&mut instance, "POST", &typeless, &Value::Null).status, 415);
    check(&mut instance, ("PUT", &format!("{API}/{CHOSEN}"), json!({})), 405, &[]);
    check(&mut instance, ("GET", &format!("{API}/upload/x/y"), Value::Null), 400, &[]);

    instance.switches_mut().attachment_extensions = ["log".to_owned()].into();
    assert_eq!(upload(&mut instance, &ticket, "a.exe", b"x").status, 400);
    assert_eq!(upload(&mut instance, &ticket, "a.LOG", b"x").status, 201);
    instance.switches_mut().attachment_bytes_max = 4;
    assert_eq!(upload(&mut instance, &ticket, "b.log", b"12345").status, 400);
    assert_eq!(upload(&mut instance, &ticket, "b.log", b"1234").status, 201);
    instance.switches_mut().update_allowed = false;
    assert_eq!(upload(&mut instance, &ticket, "c.log", b"1").status, 403, "it needs write on the ticket");
    assert_eq!(instance.count("sys_attachment"), 2);
}

#[test]
fn a_file_is_as_visible_as_its_ticket() {
    let mut instance = instance(Switches::default());
    let ticket = create(&mut instance, &json!({}));
    let file = attached(&mut instance, &ticket, "a.txt");
    instance.hide("incident", &ticket);
    check(&mut instance, ("GET", API, Value::Null), 200, &[("/result", json!([]))]);
    check(&mut instance, ("GET", &format!("{API}/{file}/file"), Value::Null), 404, &[]);
    assert_eq!(upload(&mut instance, &ticket, "b.txt", b"x").status, 404);
    instance.unhide("incident", &ticket);
    check(&mut instance, ("GET", API, Value::Null), 200, &[("/result/0/sys_id", json!(file))]);
    check(&mut instance, ("DELETE", &format!("{TABLE}/{ticket}"), Value::Null), 204, &[]);
    assert_eq!((instance.count("sys_attachment"), instance.content(&file)), (0, None), "files go with their ticket");
}

#[test]
fn size_and_hash_are_enough_when_content_is_not_kept() {
    let mut instance = instance(Switches { attachment_content_kept: false, ..Switches::default() });
    assert_eq!(instance.upload_bytes_kept_max(), 0);
    let ticket = create(&mut instance, &json!({}));
    let target = format!("{API}/file?table_name=incident&table_sys_id={ticket}&file_name=big.zip");
    let upload = Upload { size: 104_857_600, sha256: "ab".repeat(32), content: None };
    let request =
        Request { upload: Some(upload), ..signed("POST", &target).with_header("Content-Type", "application/zip") };
    let metadata = instance.handle(&request, NOW).value().expect("json")["result"].clone();
    assert_eq!((&metadata["size_bytes"], &metadata["hash"]), (&json!("104857600"), &json!("ab".repeat(32))));
    let id = metadata["sys_id"].as_str().expect("an id");
    check(&mut instance, ("GET", &format!("{API}/{id}/file"), Value::Null), 404, &[]);
}

#[test]
fn a_file_may_count_as_an_update() {
    let mut instance = instance(Switches { attachment_counts_as_update: true, ..Switches::default() });
    let ticket = create(&mut instance, &json!({}));
    attached(&mut instance, &ticket, "a.txt");
    check(
        &mut instance,
        ("GET", &format!("{TABLE}/{ticket}"), Value::Null),
        200,
        &[("/result/sys_mod_count", json!("1"))],
    );
}

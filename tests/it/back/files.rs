//! Files, both ways: each arrives once and as it was, or the other side reads why not; nothing else waits for them.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use snowgate::sim::acts::Act;

use crate::support::instance::{Attached, Ticket};
use crate::support::mappings::TEAMS_ROOMS;
use crate::support::reply::text;
use crate::support::{Answer, Bridged, Callback, Event, Manner, Shelf, Sweeps, event, eventually};

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n no picture, but its bytes";

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

// ── to ServiceNow ──

/// An event that adds a file to `MTR-1`.
fn adding(id: &str, attachment: &Value) -> Event {
    event("attachment_added", id, &json!({"incident": {"id": "MTR-1"}, "attachment": attachment}))
}

fn picture(shelf: &Shelf) -> Value {
    json!({"id": "a1", "name": "room.png", "media_type": "image/png", "size": PICTURE.len(), "sha256": sha256(PICTURE),
        "url": shelf.keeps("room.png", "image/png", PICTURE)})
}

/// The record of the delivery that an event's own record sends for its file, as soon as it has ended.
async fn of_the_file(bridged: &Bridged, record: &Value) -> Value {
    let left_out = record["ending"]["left_out"].as_array().expect("a list");
    let follows = left_out.iter().filter_map(Value::as_str).find_map(|line| line.split_once(" follows as delivery "));
    let (_, delivery) = follows.unwrap_or_else(|| panic!("no file was sent for: {record:#}"));
    bridged.gateway().record_once(delivery, "delivered").await
}

/// The picture as the instance must hold it, whatever its key.
fn as_attached(files: &[Attached]) -> Vec<(&str, &str, &str, &str)> {
    files
        .iter()
        .map(|file| (file.name.as_str(), file.media_type.as_str(), file.sha256.as_str(), file.by.as_str()))
        .collect()
}

#[track_caller]
fn has_the_picture_once(bridged: &Bridged, ticket: &Ticket) {
    let files = bridged.instance.files(ticket);
    assert_eq!(as_attached(&files), [("room.png", "image/png", sha256(PICTURE).as_str(), "snowgate")]);
}

#[tokio::test]
async fn a_file_of_the_service_is_attached_once_as_it_is_and_does_not_come_back() {
    let (bridged, shelf) = (Bridged::with(|setup| setup.skip_user = None).await, Shelf::start());
    let ticket = bridged.opened("MTR-1", "system").await;
    let event = adding("f-1", &picture(&shelf));
    let delivery = bridged.gateway().post(&event).await.expect(202).delivery();
    bridged.quiet().await;
    has_the_picture_once(&bridged, &ticket);
    let record = bridged.gateway().record(&delivery).await;
    let record = of_the_file(&bridged, &record).await;
    assert_eq!(text(&record, "/ending/how"), "attached", "{record:#}");
    assert_eq!(text(&record, "/ending/ticket/number"), ticket.field("number"));

    let timeline = bridged.gateway().get("/v1/tenants/contoso/incidents/MTR-1").await;
    assert!(timeline.to_string().contains(&text(&record, "/id")), "the file is part of the incident: {timeline:#}");

    // The same event again, the same file under another id, and a sweep change nothing on either side.
    bridged.gateway().post(&event).await.expect(200);
    let again = bridged.says("attachment_added", "f-2", event.0["data"].clone()).await;
    bridged.quiet().await;
    has_the_picture_once(&bridged, &ticket);
    let again = bridged.gateway().record(&again).await;
    assert_eq!(text(&of_the_file(&bridged, &again).await, "/ending/how"), "attached_before");
    assert_eq!(bridged.receiver.of_kind("attachment_added").len(), 0, "our own uploads never come back");
    assert_eq!(shelf.credentials_seen(), 0, "nobody but the receiver is shown who we are");
    assert!(!bridged.gateway().log().contains("canary-of-a-file"), "an address may carry a token");
    assert!(bridged.now(&ticket).journal("work_notes").is_empty(), "nothing to note");
}

#[tokio::test]
async fn an_upload_whose_answer_is_lost_is_attached_once() {
    let (bridged, shelf) = (Bridged::start().await, Shelf::start());
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.instance.plays("answer_lost=1000,verbs=POST,path=/attachment/file,budget=1");
    let delivery = bridged.gateway().post(&adding("f-1", &picture(&shelf))).await.expect(202).delivery();
    let record = bridged.gateway().record_once(&delivery, "delivered").await;
    assert_eq!(text(&of_the_file(&bridged, &record).await, "/ending/how"), "attached_before");
    has_the_picture_once(&bridged, &ticket);
}

#[tokio::test]
async fn an_upload_that_lands_late_is_attached_once() {
    let (bridged, shelf) = (Bridged::start().await, Shelf::start());
    let ticket = bridged.opened("MTR-1", "system").await;
    // Applied within the settle time of three seconds, long after the connection was lost.
    bridged.instance.plays("zombie=1000:2500,verbs=POST,path=/attachment/file,budget=1");
    let delivery = bridged.gateway().post(&adding("f-1", &picture(&shelf))).await.expect(202).delivery();
    let record = bridged.gateway().record_once(&delivery, "delivered").await;
    assert_eq!(text(&of_the_file(&bridged, &record).await, "/ending/how"), "attached_before");
    has_the_picture_once(&bridged, &ticket);
}

#[tokio::test]
async fn what_is_refused_is_noted_on_the_ticket_with_its_reason() {
    let (bridged, shelf) = (Bridged::start().await, Shelf::start());
    let ticket = bridged.opened("MTR-1", "system").await;
    let there = picture(&shelf);
    let with = |name: &str, pointer: &str, value: Value| {
        let mut attachment = there.clone();
        attachment["name"] = name.into();
        attachment[pointer] = value;
        attachment
    };
    let untrue = shelf.keeps("page", "application/x-msdownload", b"MZ");
    let large = shelf.keeps("large.png", "image/png", &vec![7; 10_485_761]);
    let cases = [
        ("digest.png", with("digest.png", "sha256", "00".repeat(32).into()), "SHA-256"),
        ("said.png", with("said.png", "size", 20_000_000.into()), "larger than 10485760 bytes"),
        ("large.png", json!({"name": "large.png", "url": large}), "more than 10485760 bytes"),
        ("run.exe", with("run.exe", "media_type", "application/x-msdownload".into()), "application/x-msdownload"),
        ("untold", json!({"name": "untold", "url": untrue}), "application/x-msdownload"),
        ("gone.png", with("gone.png", "url", there["url"].as_str().unwrap().replace("room", "gone").into()), "gone"),
        ("inner.png", with("inner.png", "url", "http://10.0.0.1/inner.png".into()), "may not be called"),
        ("far.png", with("far.png", "url", "https://files.example/far.png".into()), "may not be called"),
        ("nowhere.png", json!({"name": "nowhere.png", "media_type": "image/png"}), "no address"),
    ];
    for (number, (name, attachment, reason)) in cases.iter().enumerate() {
        let delivery = bridged
            .says(
                "attachment_added",
                &format!("f-{number}"),
                json!({"incident": {"id": "MTR-1"}, "attachment": attachment}),
            )
            .await;
        let record = bridged.gateway().record_once(&delivery, "delivered").await;
        let sent_for = record["ending"]["left_out"].to_string().contains("follows as");
        let record = if sent_for { of_the_file(&bridged, &record).await } else { record };
        bridged.gateway().quiet().await;
        let left_out: Vec<&str> =
            record["ending"]["left_out"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(
            matches!(left_out.as_slice(), [one] if one.contains(name) && one.contains(reason)),
            "{name}: {left_out:?}"
        );
        let notes = bridged.now(&ticket).journal("work_notes");
        assert_eq!(notes.len(), number + 1, "{name}: {notes:?}");
        assert!(notes[number].contains(name) && notes[number].contains(reason), "{name}: {}", notes[number]);
    }
    assert!(bridged.instance.files(&ticket).is_empty());
    bridged.quiet().await;
    assert_eq!(bridged.receiver.taken().len(), 1, "the notes are ours: {:#?}", bridged.receiver.taken());
    assert!(bridged.now(&ticket).journal("comments").is_empty(), "the caller is not bothered");
}

#[tokio::test]
async fn what_the_instance_refuses_is_noted_on_the_ticket() {
    let bridged = Bridged::with(|setup| setup.switches.attachment_extensions = ["pdf".to_owned()].into()).await;
    let shelf = Shelf::start();
    let ticket = bridged.opened("MTR-1", "system").await;
    let delivery = bridged.says("attachment_added", "f-1", adding("f-1", &picture(&shelf)).0["data"].clone()).await;
    let record = of_the_file(&bridged, &bridged.gateway().record_once(&delivery, "delivered").await).await;
    bridged.gateway().quiet().await;
    assert!(record["ending"]["left_out"].to_string().contains("room.png"), "{record:#}");
    let notes = bridged.now(&ticket).journal("work_notes");
    assert!(matches!(notes.as_slice(), [note] if note.contains("room.png")), "{notes:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_had_now_holds_up_nothing_and_comes_later() {
    let (bridged, shelf) = (Bridged::start().await, Shelf::start());
    let ticket = bridged.opened("MTR-1", "system").await;
    let attachment = picture(&shelf);
    shelf.behaves(Manner::Refuse(503));
    bridged.gateway().post(&adding("f-1", &attachment)).await.expect(202);
    eventually("it was asked for", async || (shelf.asked() > 0).then_some(())).await;
    // Of the same incident, and sent later.
    let said = bridged.gateway().post(&Event::message("MTR-1", 1, "Please look.")).await.expect(202).delivery();
    bridged.gateway().record_once(&said, "delivered").await;
    assert_eq!(bridged.instance.files(&ticket), []);
    shelf.behaves(Manner::Give);
    bridged.gateway().quiet().await;
    has_the_picture_once(&bridged, &ticket);
    assert_eq!(bridged.now(&ticket).journal("comments"), ["Please look."]);
}

#[tokio::test]
async fn a_slow_file_delays_no_other_incident() {
    let (bridged, shelf) = (Bridged::start().await, Shelf::start());
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.opened("MTR-2", "system").await;
    let attachment = picture(&shelf);
    shelf.behaves(Manner::GiveLate(Duration::from_secs(5)));
    let slow = bridged.gateway().post(&adding("f-1", &attachment)).await.expect(202).delivery();
    eventually("it was asked for", async || (shelf.asked() > 0).then_some(())).await;
    let quick = bridged.gateway().post(&Event::message("MTR-2", 1, "Quick.")).await.expect(202).delivery();
    bridged.gateway().record_once(&quick, "delivered").await;
    assert!(bridged.instance.files(&ticket).is_empty(), "the file is still on its way");
    bridged.gateway().quiet().await;
    has_the_picture_once(&bridged, &ticket);
    let slow = bridged.gateway().record_once(&slow, "delivered").await;
    assert_eq!(text(&of_the_file(&bridged, &slow).await, "/ending/how"), "attached");
}

#[tokio::test]
async fn odd_files_are_attached_as_they_are() {
    let (bridged, shelf) = (Bridged::start().await, Shelf::start());
    let ticket = bridged.opened("MTR-1", "system").await;
    let one = shelf.keeps("one", "text/plain", b"one");
    let two = shelf.keeps("two", "text/plain", b"two");
    let none = shelf.keeps("none", "text/plain", b"");
    for (id, name, url) in [
        ("1", "log.txt", &one),
        ("2", "log.txt", &two),
        ("3", "empty.txt", &none),
        ("4", "../..\\Gr\u{fc}\u{df}e\r\n\u{202e}.txt", &one),
    ] {
        let attachment = json!({"name": name, "media_type": "text/plain; charset=utf-8", "url": url});
        bridged.gateway().post(&adding(id, &attachment)).await.expect(202);
    }
    bridged.gateway().quiet().await;
    let files = bridged.instance.files(&ticket);
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, [".._.._Gr\u{fc}\u{df}e___.txt", "empty.txt", "log.txt", "log.txt"]);
    assert!(files.iter().all(|file| file.media_type == "text/plain; charset=utf-8"), "{files:?}");
    let digests: std::collections::BTreeSet<&str> = files.iter().map(|file| file.sha256.as_str()).collect();
    assert_eq!(digests, [sha256(b"").as_str(), &sha256(b"one"), &sha256(b"two")].into());
}

// ── to the managed service ──

fn attach(name: &str, media_type: &str, content: &[u8]) -> Act {
    Act::Attach { file_name: name.to_owned(), content_type: media_type.to_owned(), content: content.to_vec() }
}

#[track_caller]
fn is_the_picture(callback: &Callback, attached: &Attached) {
    assert_eq!(callback.text("/subject"), "MTR-1");
    assert_eq!((callback.text("/id"), callback.text("/file/id")), (attached.sys_id.clone(), attached.sys_id.clone()));
    assert_eq!(callback.text("/file/name"), "room%201.png");
    assert_eq!(callback.text("/file/sha256"), sha256(PICTURE), "of the bytes that came");
}

#[tokio::test]
async fn a_file_of_a_person_reaches_the_service_once_whole_and_signed() {
    let mut bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.acts("abel.tuter", &ticket, &attach("room 1.png", "image/png", PICTURE));
    let callback = bridged.receiver.has(1, "attachment_added").await;
    is_the_picture(&callback, &bridged.instance.files(&ticket)[0]);
    // Neither a later webhook with the same list nor a sweep tells it again.
    bridged.comments("abel.tuter", &ticket, "See the picture.");
    bridged.receiver.has(1, "message_added").await;
    bridged.restarted(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.sweep().await;
    assert_eq!(bridged.receiver.of_kind("attachment_added").len(), 1);
    assert_eq!(bridged.receiver.arrivals().iter().filter(|came| came.kind == "ticket.attachment_added").count(), 1);
}

#[tokio::test]
async fn a_file_that_no_webhook_told_is_found_by_the_sweep() {
    let mut bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.quiet().await;
    bridged.silences_webhooks();
    bridged.acts("abel.tuter", &ticket, &attach("room 1.png", "image/png", PICTURE));
    bridged.restarted(|setup| setup.sweeps = Sweeps::Always).await;
    let callback = bridged.receiver.has(1, "attachment_added").await;
    is_the_picture(&callback, &bridged.instance.files(&ticket)[0]);
    bridged.sweep().await;
    assert_eq!(bridged.receiver.of_kind("attachment_added").len(), 1);
}

#[tokio::test]
async fn a_file_that_the_mapping_refuses_is_told_with_the_reason() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.acts("abel.tuter", &ticket, &attach("run.exe", "application/x-msdownload", b"MZ"));
    let callback = bridged.receiver.has(1, "attachment_added").await;
    assert_eq!(callback.text("/data/attachment/name"), "run.exe");
    assert!(callback.text("/data/refused").contains("application/x-msdownload"), "{callback:?}");
    let downloads =
        |bridged: &Bridged| bridged.instance.calls().iter().filter(|call| call.target.ends_with("/file")).count();
    assert_eq!(downloads(&bridged), 0, "what does not leave is not even fetched");
    // One that went away before it was fetched.
    bridged.instance.turn(|switches| switches.attachment_content_kept = false);
    bridged.acts("abel.tuter", &ticket, &attach("gone.png", "image/png", PICTURE));
    let callback = bridged.receiver.has(2, "attachment_added").await;
    assert_eq!(callback.text("/data/attachment/name"), "gone.png");
    assert!(!callback.text("/data/refused").is_empty(), "{callback:?}");
    bridged.quiet().await;
    let records = bridged.gateway().deliveries("delivered").await;
    let kinds = records.iter().filter(|record| record["kind"] == "ticket.attachment_added").count();
    assert_eq!(kinds, 2, "{records:#?}");
}

#[tokio::test]
async fn without_the_mappings_word_no_file_leaves() {
    let (front, back) = TEAMS_ROOMS.split_once("\nto_incident:").unwrap();
    let back = back.lines().filter(|line| !line.starts_with("  attachments:")).collect::<Vec<_>>().join("\n");
    let mapping = format!("{front}\nto_incident:{back}\n");
    let mut bridged = Bridged::with(|setup| setup.mapping = mapping).await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.acts("abel.tuter", &ticket, &attach("private.png", "image/png", PICTURE));
    bridged.comments("abel.tuter", &ticket, "A comment.");
    bridged.receiver.has(1, "message_added").await;
    bridged.restarted(|setup| setup.sweeps = Sweeps::Always).await;
    bridged.sweep().await;
    assert!(bridged.receiver.of_kind("attachment_added").is_empty());
    let told = String::from_utf8_lossy(&bridged.receiver.bytes()).into_owned();
    assert!(!told.contains("private.png") && !told.contains("no picture"), "not even its name");
}

#[tokio::test]
async fn a_file_that_is_not_taken_is_sent_again_under_the_same_id() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.receiver.answers_next([Answer::Refuse(500)]);
    bridged.acts("abel.tuter", &ticket, &attach("room 1.png", "image/png", PICTURE));
    let callback = bridged.receiver.has(1, "attachment_added").await;
    is_the_picture(&callback, &bridged.instance.files(&ticket)[0]);
    bridged.quiet().await;
    let arrivals = bridged.receiver.arrivals();
    let of_the_file: Vec<(&str, u16)> = arrivals
        .iter()
        .filter(|came| came.kind == "ticket.attachment_added")
        .map(|came| (came.id.as_str(), came.status))
        .collect();
    let id = callback.text("/id");
    assert_eq!(of_the_file, [(id.as_str(), 500), (id.as_str(), 202)]);
}

#[tokio::test]
async fn a_file_that_the_service_does_not_take_now_holds_up_no_comment() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.receiver.answers_next([Answer::Refuse(500)]);
    bridged.acts("abel.tuter", &ticket, &attach("room 1.png", "image/png", PICTURE));
    bridged.receiver.saw("ticket.attachment_added").await;
    bridged.comments("abel.tuter", &ticket, "Did you get it?");
    bridged.receiver.has(1, "message_added").await;
    assert!(bridged.receiver.of_kind("attachment_added").is_empty(), "the file comes after it");
    bridged.receiver.has(1, "attachment_added").await;
    bridged.quiet().await;
}

//! Payloads as they are sent, and what is made of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const TICKET: &str = "46c88ac1a9fe1981014de1c831fbcf6d";
const OTHER: &str = "9d385017c611228701d22104cc95c371";

/// As the contract writes it.
const SNAPSHOT: &str = r#"{"event":"e7c","table":"incident","sys_id":"46c88ac1a9fe1981014de1c831fbcf6d","number":"INC0010001",
 "correlation_id":"sg1-abc","operation":"update","sys_mod_count":"7","sys_updated_on":"2026-11-22 06:00:00",
 "actor":"abel.tuter","instance":"contoso","fields":{"state":"2","hold_reason":"","assigned_to":{"value":"u1","display":"Abel Tuter"}},
 "journal":[{"sys_id":"9d385017c611228701d22104cc95c371","element":"comments","value":"Läuft \"wieder\"\r\n","created_on":"2026-11-22 06:00:00","created_by":"abel.tuter"}],
 "attachments":[{"sys_id":"9d385017c611228701d22104cc95c371","file_name":"log.zip","size_bytes":"1048576"}]}"#;

/// As a chat product's integration sends it: labels, display values, local times, and its own key beside the record's.
const LABELS: &str = r#"{"sys_id":"9d385017c611228701d22104cc95c371","record_id":"46c88ac1a9fe1981014de1c831fbcf6d",
 "number":"INC0010001","short_description":"<p>Display &quot;1&quot;</p>","state":"In Progress","priority":"3 - Moderate",
 "assigned_to":"Abel Tuter","record_type":"incident","record_type_name":"Incident","event_occurred":"state",
 "sys_updated_on":"22.11.2026 07:00:00","sys_mod_count":"1.234","operation":"update","actor":"abel.tuter"}"#;

/// As a template makes it from a text with quotes and a line end.
const UNESCAPED: &str = "{\"table\":\"incident\",\"sys_id\":\"46c88ac1a9fe1981014de1c831fbcf6d\",\n\"short_description\":\"The \"front\" display\nis dark\",}";

fn understood(body: impl AsRef<[u8]>) -> ReadSighting {
    let body = body.as_ref();
    Sighting::read(body, None).unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(body)))
}

fn check(body: impl AsRef<[u8]>, form: Form) -> Sighting {
    let read = understood(&body);
    assert_eq!(read.form, form, "{}", String::from_utf8_lossy(body.as_ref()));
    assert_eq!(read.sighting.sys_id.as_str(), TICKET);
    assert_eq!(read.flaw.is_some(), form == Form::Salvaged);
    read.sighting
}

fn refused(body: &str) -> SightingFault {
    Sighting::read(body.as_bytes(), None).expect_err(body)
}

/// A field of a body that is a snapshot.
fn field(body: impl AsRef<[u8]>, name: &str) -> Cell {
    check(body, Form::Snapshot).fields.unwrap().remove(name).unwrap()
}

/// The snapshot of the contract with a member replaced.
fn snapshot_with(pointer: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(SNAPSHOT).unwrap();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

#[test]
fn the_snapshot_of_the_contract_is_read_whole() {
    let sighting = check(SNAPSHOT, Form::Snapshot);
    let said = json!({
        "event": "e7c", "table": "incident", "sys_id": TICKET, "number": "INC0010001", "correlation_id": "sg1-abc",
        "operation": "update", "sys_mod_count": 7, "sys_updated_on": "2026-11-22 06:00:00", "actor": "abel.tuter",
        "instance": "contoso",
        "fields": {"state": {"value": "2"}, "hold_reason": {"value": ""},
                   "assigned_to": {"value": "u1", "display": "Abel Tuter"}},
        "journal": [{"sys_id": OTHER, "element": "comments", "value": "Läuft \"wieder\"\r\n",
                     "created_on": "2026-11-22 06:00:00", "created_by": "abel.tuter"}],
        "attachments": [{"sys_id": OTHER, "file_name": "log.zip", "size_bytes": 1_048_576}],
    });
    assert_eq!(serde_json::to_value(&sighting).unwrap(), said);
}

#[test]
fn what_is_stored_is_read_back_as_it_was() {
    for body in [SNAPSHOT, LABELS, UNESCAPED] {
        let read = understood(body);
        assert_eq!(Sighting::from_stored(&read.body).unwrap(), read.sighting);
        assert_eq!(read.sighting.to_stored(), read.body);
    }
    assert!(Sighting::from_stored("{}").is_err());
}

#[test]
fn values_come_as_text_numbers_objects_and_words_for_nothing() {
    let cell =
        |value: &str, display: Option<&str>| Cell { value: value.to_owned(), display: display.map(str::to_owned) };
    for (said, expected) in [
        (json!("2"), cell("2", None)),
        (json!(2), cell("2", None)),
        (json!(-2.5), cell("-2.5", None)),
        (json!(true), cell("true", None)),
        (json!(null), cell("", None)),
        (json!("null"), cell("", None)),
        (json!("undefined"), cell("", None)),
        (json!(" "), cell("", None)),
        (json!("null pointer"), cell("null pointer", None)),
        (json!({"value": "6816", "display_value": "Network", "link": "https://x/y"}), cell("6816", Some("Network"))),
        (json!({"value": 6, "display": "Resolved"}), cell("6", Some("Resolved"))),
        (json!({"value": "2", "display": "2"}), cell("2", None)),
        (json!({"value": null, "display": ""}), cell("", None)),
    ] {
        assert_eq!(field(snapshot_with("/fields/state", said.clone()), "state"), expected, "{said}");
    }
}

#[test]
fn a_snapshot_with_anything_doubtful_in_it_is_read_from_the_ticket_instead() {
    let many: Value = (0..600).map(|at| (format!("u_{at}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    let entry = |at: usize| json!({"sys_id": format!("{at:032x}"), "element": "comments", "value": "x"});
    for (pointer, said) in [
        ("/fields", json!("state=2")),
        ("/fields/state", json!(["2"])),
        ("/fields/state", json!({"display_value": "New", "link": "https://x/y"})),
        ("/fields/state", json!("x".repeat(70_000))),
        ("/fields", many),
        ("/journal", json!({})),
        ("/journal/0/sys_id", json!("")),
        ("/journal/0/element", json!(null)),
        ("/journal/0/value", json!(["x"])),
        ("/journal", (0..101).map(entry).collect()),
        ("/attachments/0/file_name", json!("")),
    ] {
        let sighting = check(snapshot_with(pointer, said), Form::Flat);
        assert_eq!((sighting.fields, sighting.journal, sighting.version), (None, None, None), "{pointer}");
        assert_eq!(sighting.actor.as_deref(), Some("abel.tuter"));
    }
}

#[test]
fn what_names_no_column_is_ignored_and_not_believed() {
    let odd = json!({"state": "2", "": "x", "Short Description": "x", "a;b": "x", "caller_id.email": "a@b.c"});
    let sighting = check(snapshot_with("/fields", odd), Form::Snapshot);
    assert_eq!(sighting.fields.unwrap().into_keys().collect::<Vec<_>>(), ["caller_id.email", "state"]);
    let odd_head = snapshot_with("/sys_updated_on", json!("22.11.2026 07:00"));
    assert_eq!(check(odd_head, Form::Snapshot).updated_on, None);
    assert_eq!(check(snapshot_with("/actor", json!("a\nb")), Form::Snapshot).actor, None);
    assert_eq!(check(snapshot_with("/operation", json!("touch")), Form::Snapshot).operation, None);
    assert_eq!(check(snapshot_with("/sys_mod_count", json!("seven")), Form::Snapshot).version, None);
}

#[test]
fn a_hint_is_known_by_many_names() {
    let full = Sighting { table: Some("incident".to_owned()), ..Sighting::hint(SysId::parse(TICKET).unwrap()) };
    for (table, sys_id) in [
        ("table", "sys_id"),
        ("table_name", "sysId"),
        ("record_type", "record_id"),
        ("sys_class_name", "id"),
        ("tableName", "recordId"),
    ] {
        assert_eq!(check(json!({table: "incident", sys_id: TICKET}).to_string(), Form::Hint), full, "{table} {sys_id}");
    }
    assert_eq!(check(json!({"table": "Incident", "sys_id": TICKET.to_uppercase()}).to_string(), Form::Hint), full);
    assert_eq!(check(json!({"table": "incident", "sys_id": {"value": TICKET}}).to_string(), Form::Hint), full);
    assert_eq!(check(json!([{"table": "incident", "sys_id": TICKET}]).to_string(), Form::Hint), full);
    let twice = Value::String(json!({"table": "incident", "sys_id": TICKET}).to_string()).to_string();
    assert_eq!(check(twice, Form::Hint), full, "stringified twice");
    assert_eq!(check(format!("\u{feff} {{\"sys_id\":\"{TICKET}\",\"table\":\"incident\"}}\r\n"), Form::Hint), full);
    assert_eq!(check(json!({"sys_id": TICKET, "table": "Change Request"}).to_string(), Form::Hint).table, None);
    let versioned = json!({"sys_id": TICKET, "sys_mod_count": 7, "operation": "delete"}).to_string();
    let versioned = check(versioned, Form::Hint);
    assert_eq!((versioned.version, versioned.operation), (Some(7), Some(Operation::Delete)));
}

#[test]
fn labels_and_local_times_are_never_taken_for_values() {
    let sighting = check(LABELS, Form::Flat);
    let expected = Sighting {
        table: Some("incident".to_owned()),
        number: Some("INC0010001".to_owned()),
        operation: Some(Operation::Update),
        actor: Some("abel.tuter".to_owned()),
        ..Sighting::hint(SysId::parse(TICKET).unwrap())
    };
    assert_eq!(sighting, expected);
    // The record's last editor is not who did this.
    let edited = json!({"sys_id": TICKET, "sys_updated_by": "snowgate", "state": "2"}).to_string();
    assert_eq!(check(edited, Form::Flat), Sighting::hint(SysId::parse(TICKET).unwrap()));
}

#[test]
fn a_name_that_stands_twice_counts_once_and_two_tickets_are_none() {
    let twice = format!(r#"{{"sys_id":"{TICKET}","sys_id":"{TICKET}","number":"INC1","number":"INC2"}}"#);
    assert_eq!(check(twice, Form::Hint).number.as_deref(), Some("INC1"), "the first one counts");
    let fields = format!(r#"{{"sys_id":"{TICKET}","fields":{{"state":"2","state":"6"}}}}"#);
    assert_eq!(field(fields, "state").value, "2");
    for body in [
        format!(r#"{{"sys_id":"{TICKET}","sys_id":"{OTHER}"}}"#),
        format!(r#"{{"sys_id":"{TICKET}","sysId":"{OTHER}"}}"#),
        format!(r#"[{{"sys_id":"{TICKET}"}},{{"sys_id":"{OTHER}"}}]"#),
        format!(r#"{{"caller":{{"sys_id":"{OTHER}"}},"record":{{"sys_id":"{TICKET}"}}}}"#),
    ] {
        assert_eq!(refused(&body), SightingFault::Several, "{body}");
    }
}

#[test]
fn a_key_that_stands_deeper_is_saved() {
    for body in [
        json!({"result": {"sys_id": TICKET, "caller_id": {"sys_id": OTHER}}}).to_string(),
        json!({"text": "changed", "url": format!("https://x.service-now.com/nav_to.do?uri=incident.do?sys_id={TICKET}")})
            .to_string(),
        json!({"payload": json!({"table": "incident", "sys_id": TICKET}).to_string()}).to_string(),
    ] {
        assert_eq!(check(&body, Form::Salvaged), Sighting::hint(SysId::parse(TICKET).unwrap()), "{body}");
    }
}

#[test]
fn what_is_no_json_is_saved_by_its_labels() {
    let with_table = |body: &str| {
        let sighting = check(body, Form::Salvaged);
        assert_eq!(sighting.table.as_deref(), Some("incident"), "{body}");
        assert_eq!((sighting.number, sighting.fields), (None, None), "nothing else is believed");
    };
    with_table(UNESCAPED);
    with_table(&format!(r#"{{"table":"incident","sys_id":"{TICKET}",}}"#));
    with_table(&format!(r#"{{"table":"incident","sys_id":"{TICKET}","n":1e400}}"#));
    with_table(&format!("{{&quot;table&quot;:&quot;incident&quot;,&quot;sys_id&quot;: &quot;{TICKET}&quot;}}"));
    with_table(&format!("{{&#34;table&#34;:&#34;incident&#34;,&#34;sys_id&#34;:&#34;{TICKET}&#34;}}"));
    with_table(&format!("{{&quot;table&quot;:&quot;incident&quot;,&quot;sys_id&quot;:&#x0022;{TICKET}&quot;}}"));
    with_table(&format!("{}table=incident&sys_id={TICKET}", "sys_id&&".repeat(10_000)));
    with_table(&format!("table=incident&sys_id={TICKET}&caller_id={OTHER}"));
    with_table(&format!("caller_sys_id={OTHER}&my_table=u_x&sys_id={TICKET}&table=incident"));
    with_table(&format!("payload=%7B%22table%22%3A%22incident%22%2C%22sys_id%22%20%3A%20%22{TICKET}%22%7D"));
    with_table(&format!("<record><table>incident</table><sys_id>{TICKET}</sys_id></record>"));
    with_table(&format!("{{'table': 'incident', 'sys_id': '{}'}}", TICKET.to_uppercase()));
    with_table(&format!(
        r#"{{"table":"incident","sys_id":"{TICKET}","journal":[{{"sys_id":"{OTHER}","value":"a "b" c"}}]"#
    ));
}

#[test]
fn without_a_label_the_only_key_is_saved_and_never_a_part_of_a_word() {
    check(format!("incident {TICKET} was changed"), Form::Salvaged);
    check(format!("<a>{TICKET}</a><b>{TICKET}</b>"), Form::Salvaged);
    for body in [
        format!("{TICKET} or {OTHER}"),
        format!("sha256 {TICKET}{OTHER}"),
        format!("sys_id: {TICKET}{OTHER}"),
        format!("x{TICKET}"),
        format!("{TICKET}_x"),
        "sys_id".to_owned(),
        "sys_id=".to_owned(),
        format!("sys_id{}{TICKET}0", " ".repeat(100)),
    ] {
        assert!(matches!(refused(&body), SightingFault::Unreadable { .. }), "{body}");
    }
    // In JSON a key without a label is as likely a person's.
    assert_eq!(refused(&json!({"number": "INC1", "assigned_to": OTHER}).to_string()), SightingFault::NoTicket);
}

#[test]
fn latin_1_is_text_too() {
    let mut body = format!("{{\"sys_id\":\"{TICKET}\",\"fields\":{{\"short_description\":\"R").into_bytes();
    body.extend(b"\xe4ume f\xfcr 20 \xa3\"}}");
    assert_eq!(field(&body, "short_description").value, "Räume für 20 £");
}

#[test]
fn a_fault_says_what_is_wrong_where_and_what_would_be_enough() {
    let check = |body: &str, content_type: Option<&str>, pointer: &str, parts: &[&str]| {
        let fault = Sighting::read(body.as_bytes(), content_type).expect_err(body);
        let said = fault.to_string();
        assert_eq!(fault.pointer(), pointer, "{said}");
        for part in parts.iter().chain(&[r#"{"table":"incident","sys_id":""#, "JSON.stringify"]) {
            assert!(said.contains(part), "{said}: {part}");
        }
    };
    check("", None, "", &["empty"]);
    check(" \r\n", None, "", &["empty"]);
    check("{\"a\":\n \"b\" \"c\"}", None, "", &["expected `,` or `}` at line 2 column 6"]);
    check("<x/>", Some("text/xml; charset=utf-8"), "", &["line 1 column 1", "text/xml"]);
    check("{&quot;a&quot;:1}", Some("application/json"), "", &["escaped the quotes"]);
    check(r#"{"sys_id":"${sys_id}"}"#, None, "/sys_id", &["32 hexadecimal digits", "was not replaced"]);
    check(r#"{"sysId":"INC0010001"}"#, None, "/sysId", &["no sys_id of 32"]);
    check("{}", None, "/sys_id", &["no `sys_id` names"]);
    check(r#"{"sys_id":"","number":"INC1"}"#, None, "/sys_id", &["no `sys_id` names"]);
    check("[]", None, "/sys_id", &[]);
    check("7", None, "/sys_id", &[]);
    assert!(refused("{").is_malformed() && !refused("{}").is_malformed());
    let secret = refused("{\"password\":\"hunter2\" x").to_string();
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn depth_and_size_are_bounded_and_lose_nothing_that_counts() {
    let deep = format!(r#"{{"x":{}{},"sys_id":"{TICKET}"}}"#, "[".repeat(50_000), "]".repeat(50_000));
    check(deep, Form::Flat);
    let only_deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refused(&only_deep), SightingFault::NoTicket);
    assert!(matches!(refused(&"[".repeat(100_000)), SightingFault::Unreadable { .. }));
    let wide = (0..20_000).fold(String::new(), |text, at| text + &format!("\"k{at}\":{at},"));
    check(format!(r#"{{{wide}"sys_id":"{TICKET}"}}"#), Form::Salvaged);
    check(format!(r#"{{"sys_id":"{TICKET}",{wide}"z":1}}"#), Form::Flat);
}

proptest! {
    /// Reading ends, whatever comes, and what was understood can be stored and read back.
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(read) = Sighting::read(&bytes, None) {
            prop_assert_eq!(Sighting::from_stored(&read.body).unwrap(), read.sighting);
        }
    }

    /// Whatever breaks in the middle of a real payload, no other ticket is taken for its own than one it names.
    #[test]
    fn a_mutated_payload_names_one_of_its_own_keys(
        payload in proptest::sample::select(&[SNAPSHOT, LABELS, UNESCAPED][..]),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let mut bytes = payload.as_bytes().to_vec();
        for (place, byte, edit) in edits {
            let at = place.index(bytes.len().max(1));
            match edit {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                _ => drop(bytes.splice(at..bytes.len().min(at + 1), (edit == 2).then_some(byte))),
            }
        }
        let text: String = bytes.iter().map(|&byte| char::from(byte).to_ascii_lowercase()).collect();
        if let Ok(read) = Sighting::read(&bytes, Some("application/json")) {
            prop_assert!(text.contains(read.sighting.sys_id.as_str()), "{:?}", read);
            prop_assert_eq!(Sighting::from_stored(&read.body).unwrap(), read.sighting);
        }
    }
}

//! The managed service's record, in the canonical model.
//!
//! Owns: what an incident can say, and how a newer snapshot is laid over an older one. Everything but `id` is optional:
//! a sender says what it knows. Fields we do not know are kept in `custom`, unknown words in `…_raw`.
//! Never: decides what a value means for a ticket (that is the mapping's work).
//! Fails: only while reading, with every fault and its JSON pointer. Proved by: the tests here and in `change`.

use std::collections::BTreeMap;

use super::id::IncidentId;
use super::time::Timestamp;
use super::wire::codec::{Flag, Id, Labels, ListOf, Moment, Name, Number, OneOf, Text};
use super::wire::record::{Nested, ReadRecord, record};
pub use super::words::{
    AffectedKind, Channel, Health, Kind, Origin, Owner, ResolutionCode, Severity, State, SupportArea, Visibility, Word,
};
use crate::limits::{
    INCIDENT_AFFECTED_COUNT_MAX, INCIDENT_LABELS_COUNT_MAX, INCIDENT_MESSAGES_COUNT_MAX, INCIDENT_TEXT_CHARS_MAX,
    INCIDENT_TITLE_CHARS_MAX,
};

type Title = Text<INCIDENT_TITLE_CHARS_MAX>;
type Prose = Text<INCIDENT_TEXT_CHARS_MAX>;

record! {
    /// An incident as far as its sender told us.
    Incident {
        @ /// The managed service's own id.
        id "id": IncidentId as Id,
        /// Counts the times one signal became active again under the same id.
        episode "episode": u32 as Number<u32>,
        /// One line that says what is wrong.
        title "title": String as Title,
        /// The long text.
        description "description": String as Prose,
        /// Where people see it in the managed service.
        url "url": String as Name,
        /// What sort of record it is.
        kind "kind" (kind_raw): Kind as OneOf<Kind>,
        /// The kind as said, when we do not know the word.
        kind_raw "kind_raw": String as Name,
        /// Who raised it.
        origin "origin" (origin_raw): Origin as OneOf<Origin>,
        /// The origin as said.
        origin_raw "origin_raw": String as Name,
        /// What area it belongs to; an open list (`audio`, `display`, `connectivity`, …).
        category "category": String as Name,
        /// What exactly; an open list (`front_of_room_display`, `network`, …).
        incident_type "type": String as Name,
        /// How bad it is.
        severity "severity" (severity_raw): Severity as OneOf<Severity>,
        /// The severity as said.
        severity_raw "severity_raw": String as Name,
        /// Whether someone marked it as hurting many or important people.
        high_impact "high_impact": bool as Flag,
        /// Where it stands.
        state "state" (state_raw): State as OneOf<State>,
        /// The state as said.
        state_raw "state_raw": String as Name,
        /// Who has to act.
        owner "owner" (owner_raw): Owner as OneOf<Owner>,
        /// The owner as said.
        owner_raw "owner_raw": String as Name,
        /// What the owner should do.
        recommended_action "recommended_action": String as Prose,
        /// Who works on it.
        assignee "assignee": Person as Nested<Person>,
        /// Who reported it.
        reporter "reporter": Person as Nested<Person>,
        /// Rooms, devices and services that are affected, the most important first.
        affected "affected": Vec<Affected> as ListOf<Nested<Affected>, INCIDENT_AFFECTED_COUNT_MAX>,
        /// The conversation so far, oldest first.
        messages "messages": Vec<Message> as ListOf<Nested<Message>, INCIDENT_MESSAGES_COUNT_MAX>,
        /// How it ended.
        resolution "resolution": Resolution as Nested<Resolution>,
        /// When things happened.
        times "times": Times as Nested<Times>,
        /// What was promised.
        sla "sla": Sla as Nested<Sla>,
        /// Free words.
        tags "tags": Vec<String> as ListOf<Name, INCIDENT_LABELS_COUNT_MAX>,
        /// Free named words.
        labels "labels": BTreeMap<String, String> as Labels,
    }
}

record! {
    /// A person, as far as known.
    Person {
        /// An id in the sender's directory.
        id "id": String as Name,
        /// The e-mail address.
        email "email": String as Name,
        /// The name people use.
        name "name": String as Name,
    }
}

record! {
    /// A room, device, person or service that is affected.
    Affected {
        /// What it is.
        kind "kind" (kind_raw): AffectedKind as OneOf<AffectedKind>,
        /// The kind as said.
        kind_raw "kind_raw": String as Name,
        /// The sender's id of it.
        id "id": String as Name,
        /// What people call it.
        name "name": String as Name,
        /// The group of rooms it belongs to; usually decides who is responsible.
        room_group "room_group": String as Name,
        /// The update ring.
        ring "ring": String as Name,
        /// The building or town.
        site "site": String as Name,
        /// How it is.
        health "health" (health_raw): Health as OneOf<Health>,
        /// The health as said.
        health_raw "health_raw": String as Name,
        /// Who made it.
        vendor "vendor": String as Name,
        /// The model.
        model "model": String as Name,
        /// The serial number; usually the key into the CMDB.
        serial "serial": String as Name,
    }
}

record! {
    /// One entry of the conversation.
    Message {
        /// The sender's id of it.
        id "id": String as Name,
        /// What was written.
        text "text": String as Prose,
        /// Who may read it.
        visibility "visibility" (visibility_raw): Visibility as OneOf<Visibility>,
        /// The visibility as said.
        visibility_raw "visibility_raw": String as Name,
        /// Who wrote it.
        author "author": Author as Nested<Author>,
        /// When.
        at "at": Timestamp as Moment,
    }
}

record! {
    /// Who wrote a message.
    Author {
        /// The name people use.
        name "name": String as Name,
        /// For whom they speak.
        party "party" (party_raw): Owner as OneOf<Owner>,
        /// The party as said.
        party_raw "party_raw": String as Name,
    }
}

record! {
    /// How an incident ended.
    Resolution {
        /// Why it is over.
        code "code" (code_raw): ResolutionCode as OneOf<ResolutionCode>,
        /// The code as said.
        code_raw "code_raw": String as Name,
        /// What was done.
        notes "notes": String as Prose,
        /// Who ended it.
        by "by": String as Name,
        /// When.
        at "at": Timestamp as Moment,
    }
}

record! {
    /// When things happened.
    Times {
        /// When it was raised.
        opened_at "opened_at": Timestamp as Moment,
        /// When it last changed.
        updated_at "updated_at": Timestamp as Moment,
        /// When it was resolved.
        resolved_at "resolved_at": Timestamp as Moment,
    }
}

record! {
    /// What was promised.
    Sla {
        /// By when someone should have answered.
        first_response_due "first_response_due": Timestamp as Moment,
    }
}

record! {
    /// Someone else has to act now.
    Escalation {
        /// How far up it went.
        level "level": u32 as Number<u32>,
        /// To whom.
        channel "channel" (channel_raw): Channel as OneOf<Channel>,
        /// The channel as said.
        channel_raw "channel_raw": String as Name,
        /// What it is about; says to whom when no channel does.
        area "area" (area_raw): SupportArea as OneOf<SupportArea>,
        /// The area as said.
        area_raw "area_raw": String as Name,
        /// Why.
        reason "reason": String as Prose,
        /// By when an answer is expected.
        due "due": Timestamp as Moment,
        /// The other side's reference.
        external_ref "external_ref": String as Name,
    }
}

record! {
    /// A file that belongs to the incident; its content stays where `url` says.
    Attachment {
        /// The sender's id of it.
        id "id": String as Name,
        /// The file name.
        name "name": String as Name,
        /// The media type.
        media_type "media_type": String as Name,
        /// Bytes.
        size "size": u64 as Number<u64>,
        /// The SHA-256 of the content, hexadecimal.
        sha256 "sha256": String as Name,
        /// Where to fetch it.
        url "url": String as Name,
    }
}

/// Lays what the newer one says over the older; `a(a_raw)` are a word and what was said, which belong together.
macro_rules! lay_over {
    ($old:expr, $new:expr; $($field:ident $(($raw:ident))?),* $(,)?) => {{
        $(if $new.$field.is_some() {
            $old.$field.clone_from(&$new.$field);
            $($old.$raw.clone_from(&$new.$raw);)?
        }
        $(if $new.$raw.is_some() {
            $old.$raw.clone_from(&$new.$raw);
        })?)*
        for (key, value) in &$new.custom {
            $old.custom.insert(key.clone(), value.clone());
        }
    }};
}

impl Incident {
    /// An incident of which nothing but the id is known.
    pub fn new(id: IncidentId) -> Self {
        Self::bare((id,))
    }

    /// Lays a newer snapshot over this one: what it says replaces, what it does not say stays.
    /// Lists and people are replaced as a whole; times, promises and custom values field by field.
    pub fn merge(&mut self, newer: &Self) {
        lay_over!(self, newer; episode, title, description, url, kind(kind_raw), origin(origin_raw), category,
            incident_type, severity(severity_raw), high_impact, state(state_raw), owner(owner_raw), recommended_action,
            assignee, reporter, affected, messages, resolution, tags, labels);
        match (&mut self.times, &newer.times) {
            (Some(old), Some(new)) => lay_over!(old, new; opened_at, updated_at, resolved_at),
            (old @ None, new) => old.clone_from(new),
            (Some(_), None) => {}
        }
        match (&mut self.sla, &newer.sla) {
            (Some(old), Some(new)) => lay_over!(old, new; first_response_due),
            (old @ None, new) => old.clone_from(new),
            (Some(_), None) => {}
        }
    }

    /// Says the state, and forgets the sender's word for another one.
    pub fn enter(&mut self, state: State) {
        if self.state != Some(state) {
            self.state = Some(state);
            self.state_raw = None;
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn incident(value: Value) -> Incident {
        serde_json::from_value(value).unwrap()
    }

    /// The example of the contract, with every field the canonical model has.
    fn whole() -> Value {
        json!({"id": "MTR-1", "episode": 1, "title": "Front display 1 not detected", "description": "", "url": "",
          "kind": "incident", "origin": "system", "category": "display", "type": "front_of_room_display",
          "severity": "high", "severity_raw": "Important", "high_impact": false, "state": "needs_customer_action",
          "state_raw": "Needs Action", "owner": "customer", "recommended_action": "Check the HDMI cable",
          "assignee": {"id": "", "email": "", "name": ""}, "reporter": {"id": "", "email": "", "name": ""},
          "affected": [{"kind": "room", "id": "r-17", "name": "Berlin 4.12", "room_group": "Berlin",
            "ring": "Executive", "site": "BER", "health": "unhealthy", "vendor": "", "model": "", "serial": ""}],
          "messages": [{"id": "m1", "text": "…", "visibility": "public", "author": {"name": "", "party": "provider"},
            "at": "2026-11-22T06:00:00Z"}],
          "resolution": {"code": "fixed_by_customer", "notes": "", "by": "", "at": "2026-11-22T06:00:00.25Z"},
          "times": {"opened_at": "2026-11-22T06:00:00Z"}, "sla": {"first_response_due": "2026-11-22T10:00:00Z"},
          "tags": ["a"], "labels": {"team": "av"}, "custom": {"mine": [1, {"a": null}]}})
    }

    #[test]
    fn the_whole_wire_form_comes_back_unchanged() {
        assert_eq!(serde_json::to_value(incident(whole())).unwrap(), whole());
    }

    #[test]
    fn words_we_do_not_know_are_kept_beside_unknown() {
        let read = incident(json!({"id": "1", "severity": "Sev0", "owner": "", "affected": [{"health": "ill"}]}));
        assert_eq!((read.severity, read.severity_raw.as_deref()), (Some(Severity::Unknown), Some("Sev0")));
        assert_eq!((read.owner, read.owner_raw), (None, None));
        let room = &read.affected.unwrap()[0];
        assert_eq!((room.health, room.health_raw.as_deref()), (Some(Health::Unknown), Some("ill")));
        for both in [
            json!({"id": "1", "severity": "x", "severity_raw": "said"}),
            json!({"id": "1", "severity_raw": "said", "severity": "x"}),
        ] {
            assert_eq!(incident(both).severity_raw.as_deref(), Some("said"));
        }
    }

    #[test]
    fn fields_we_do_not_know_are_kept_as_custom() {
        let read = incident(json!({"id": "1", "a": 1, "custom": {"a": 2, "b": 3}, "assignee": {"phone": "7"}}));
        assert_eq!(json!(read.custom), json!({"a": 2, "b": 3}));
        assert_eq!(json!(read.assignee.unwrap().custom), json!({"phone": "7"}));
    }

    #[test]
    fn a_newer_snapshot_replaces_only_what_it_says() {
        let mut old = incident(json!({"id": "1", "title": "a", "severity": "x", "tags": ["old"], "mine": 1, "b": 2,
            "assignee": {"name": "n", "email": "e"}, "times": {"opened_at": "2026-01-01T00:00:00Z"}}));
        old.merge(&incident(json!({"id": "1", "severity": "high", "tags": [], "mine": 3, "assignee": {"email": "f"},
            "description": "", "times": {"updated_at": "2026-01-02T00:00:00Z"}})));
        assert_eq!(
            serde_json::to_value(&old).unwrap(),
            json!({"id": "1", "title": "a", "description": "", "severity": "high", "assignee": {"email": "f"},
              "times": {"opened_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}, "tags": [],
              "custom": {"mine": 3, "b": 2}})
        );
    }

    /// Any part of the whole form, with other texts and words in it.
    fn any_incident() -> impl Strategy<Value = Value> {
        let keys: Vec<String> = whole().as_object().unwrap().keys().cloned().collect();
        let kept = proptest::sample::subsequence(keys.clone(), 0..=keys.len());
        (kept, "\\PC{1,20}", "[a-z]{1,9}").prop_map(|(kept, text, word)| {
            let mut value = whole();
            let map = value.as_object_mut().unwrap();
            map.retain(|key, _| key == "id" || kept.contains(key));
            for name in ["title", "category", "severity_raw"] {
                map.entry(name).and_modify(|old| *old = text.clone().into());
            }
            map.entry("severity").and_modify(|old| *old = word.into());
            value
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_was_read_is_written_and_read_again(value in any_incident()) {
            let read = incident(value);
            let text = serde_json::to_string(&read).unwrap();
            let again: Incident = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), text);
            prop_assert_eq!(again, read);
        }

        #[test]
        fn merging_is_saying_again(old in any_incident(), new in any_incident()) {
            let (mut merged, new) = (incident(old), incident(new));
            merged.merge(&new);
            let once = merged.clone();
            merged.merge(&new);
            prop_assert_eq!(&merged, &once);
            let mut alone = Incident::new(merged.id.clone());
            alone.merge(&new);
            prop_assert_eq!(alone, new);
        }
    }
}

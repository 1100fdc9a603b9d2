//! CloudEvents of a managed service, as its own software would build them.

use serde_json::{Value, json};

/// One event, to be changed before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Event(pub(crate) Value);

/// The title under which the tests find an incident's ticket.
pub(crate) fn title(incident: &str) -> String {
    format!("Fault of {incident}")
}

/// An event of a kind such as `opened`, with an id of its own.
pub(crate) fn event(kind: &str, id: &str, data: &Value) -> Event {
    Event(json!({
        "specversion": "1.0", "id": id, "source": "soc/tests", "type": format!("incident.{kind}"), "data": data,
    }))
}

/// The `number` of an event makes its id, together with the incident.
impl Event {
    pub(crate) fn opened(incident: &str) -> Self {
        let data = json!({"incident": {"id": incident, "title": title(incident), "severity": "high"}});
        event("opened", &format!("{incident}/open"), &data)
    }

    pub(crate) fn updated(incident: &str, number: usize, severity: &str) -> Self {
        let data = json!({"incident": {"id": incident, "severity": severity}});
        event("updated", &format!("{incident}/{number}"), &data)
    }

    pub(crate) fn message(incident: &str, number: usize, said: &str) -> Self {
        let message = json!({"id": format!("m{number}"), "text": said, "visibility": "public"});
        let data = json!({"incident": {"id": incident}, "message": message});
        event("message_added", &format!("{incident}/{number}"), &data)
    }

    pub(crate) fn resolved(incident: &str, number: usize) -> Self {
        let data = json!({"incident": {"id": incident, "resolution": {"code": "self_healed", "notes": "It is back."}}});
        event("resolved", &format!("{incident}/{number}"), &data)
    }

    /// With another value at a JSON pointer; the place must exist, or be a new key of an object.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let place = self.0.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object there");
        place.insert(key.to_owned(), value);
        self
    }

    pub(crate) fn body(&self) -> String {
        self.0.to_string()
    }
}

//! An answer of the gateway, read to its end.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, headers and body.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    /// Sends; `None` if no whole answer came.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Option<Self> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        #[expect(clippy::disallowed_methods, reason = "the answer of the gateway under test")]
        let text = response.text().await.ok()?;
        Some(Self { status, headers, text })
    }

    /// The body; `null` if it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The stable code of a refusal.
    pub(crate) fn code(&self) -> String {
        text(&self.json(), "/code")
    }

    /// The item (of a batch) and the pointer of every fault.
    pub(crate) fn faults(&self) -> Vec<(Option<u64>, String)> {
        let json = self.json();
        let faults = json["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
        faults.iter().map(|fault| (fault["item"].as_u64(), text(fault, "/pointer"))).collect()
    }

    /// A header, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// Itself, if its status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The receipt without `duplicate`: what must be the same for every repeat of an event.
    pub(crate) fn receipt(&self) -> Value {
        let mut receipt = self.json();
        if let Some(receipt) = receipt.as_object_mut() {
            receipt.remove("duplicate");
        }
        receipt
    }

    /// The delivery's id in a receipt.
    pub(crate) fn delivery(&self) -> String {
        text(&self.json(), "/delivery")
    }
}

/// A text inside a JSON value, empty if there is none.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

//! What an error envelope says, made fit for a record that people read.

use super::super::wire::rows::Said;
use crate::peer::words::clean;

/// The message and the detail of an error envelope.
pub(super) struct Words<'a> {
    message: &'a str,
    detail: &'a str,
}

impl<'a> Words<'a> {
    /// Borrows them; what is missing is empty.
    pub(super) fn of(said: &'a Said) -> Self {
        Self {
            message: said.message.as_deref().unwrap_or_default(),
            detail: said.detail.as_deref().unwrap_or_default(),
        }
    }

    /// Whether the message or the detail holds this text.
    pub(super) fn have(&self, text: &str) -> bool {
        self.message.contains(text) || self.detail.contains(text)
    }

    /// Both as one short line.
    pub(super) fn text(&self) -> String {
        match (self.message.is_empty(), self.detail.is_empty()) {
            (_, true) => clean(self.message),
            (true, false) => clean(self.detail),
            (false, false) => clean(&format!("{}: {}", self.message, self.detail)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_and_detail_stand_together() {
        let said = |message: Option<&str>, detail: Option<&str>| Said {
            message: message.map(ToOwned::to_owned),
            detail: detail.map(ToOwned::to_owned),
        };
        for (message, detail, text) in [
            (Some("Operation Failed"), Some("ACL Exception"), "Operation Failed: ACL Exception"),
            (Some("Invalid table x"), None, "Invalid table x"),
            (None, Some("only this"), "only this"),
            (None, None, ""),
        ] {
            assert_eq!(Words::of(&said(message, detail)).text(), text);
        }
    }
}

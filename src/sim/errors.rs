//! The error catalogue: every refusal of the simulated instance, in the words a real one uses.
//!
//! Owns: status, message and detail of each refusal, and the envelope around them. Never: decides when to refuse.
//! Fails: it cannot. Proved by: the tests below and the tables in `tests`, `rules` and `oauth`.
//!
//! Texts are from facts/servicenow 1.7 and 2.2 (public: "REST API HTTP response codes", `r_RESTAPIHTTPResponseCodes.md`;
//! KB0747638, KB0551763, KB0546297). Those without a public source say so.

use serde_json::{Value, json};

use super::message::Response;

/// A call that the instance refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status code.
    pub status: u16,
    /// `error.message` of the envelope.
    pub message: String,
    /// `error.detail`; `None` is JSON `null`, which real instances send too.
    pub detail: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: &str, detail: Option<&str>) -> Self {
        Self { status, message: message.to_owned(), detail: detail.map(str::to_owned) }
    }

    /// The envelope of facts/servicenow 2.1.
    pub fn response(&self) -> Response {
        Response::json(self.status, &self.envelope())
    }

    /// `{"error":{"message":…,"detail":…},"status":"failure"}`.
    pub(super) fn envelope(&self) -> Value {
        json!({"error": {"message": self.message, "detail": self.detail}, "status": "failure"})
    }

    /// Missing and hidden cannot be told apart.
    pub(super) fn no_record() -> Self {
        Self::new(404, "No Record found", Some("Record doesn't exist or ACL restricts the record retrieval"))
    }

    /// Version 1 answers an empty list so (KB0551763).
    pub(super) fn no_records_v1() -> Self {
        let detail = "Records matching query not found. Check query parameter or offset parameter";
        Self::new(404, "No Record found", Some(detail))
    }

    pub(super) fn invalid_table(table: &str) -> Self {
        Self::new(400, &format!("Invalid table {table}"), None)
    }

    pub(super) fn no_such_resource() -> Self {
        Self::new(400, "Requested URI does not represent any resource", None)
    }

    /// Text for 405 has no public source.
    pub(super) fn method_not_supported() -> Self {
        Self::new(405, "Method not supported", None)
    }

    /// Text for 406 has no public source.
    pub(super) fn not_acceptable() -> Self {
        Self::new(406, "Not Acceptable", Some("Accept must allow application/json"))
    }

    /// Text for 415 has no public source.
    pub(super) fn unsupported_media() -> Self {
        Self::new(415, "Unsupported Media Type", Some("Content-Type must be application/json"))
    }

    /// Above `glide.rest.max_content_length` (KB0747638).
    pub(super) fn payload_too_large(length: usize, max: usize) -> Self {
        let detail =
            format!("Rejected large REST payload with content-length = {length} bytes. Max allowed: {max} bytes.");
        Self::new(400, "Exception while reading request", Some(&detail))
    }

    pub(super) fn unreadable_body(parser: &str) -> Self {
        Self::new(400, "Exception while reading request", Some(parser))
    }

    /// Labels, not column names; the odd line break is the platform's.
    pub(super) fn data_policy(labels: &[&str]) -> Self {
        let detail = format!("Data Policy Exception: \n\tThe following fields are mandatory: {}", labels.join(", "));
        Self::new(403, "Operation Failed", Some(&detail))
    }

    /// The rule's own message does not cross REST, only its name (KB0813377).
    pub(super) fn aborted_by_rule(table: &str, rule: &str, rule_id: &str) -> Self {
        let detail = format!(
            "Operation against file '{table}' was aborted by Business Rule '{rule}^{rule_id}'. Business Rule Stack:{rule}"
        );
        Self::new(403, "Operation Failed", Some(&detail))
    }

    /// `operation` is `Insert`, `Update` or `Delete`.
    pub(super) fn acl(operation: &str) -> Self {
        let detail = format!("ACL Exception {operation} Failed due to security constraints");
        Self::new(403, "Operation Failed", Some(&detail))
    }

    /// A rule on the REST endpoint, or a table without web-service access (KB0686244).
    pub(super) fn api_acl() -> Self {
        Self::new(403, "User Not Authorized", Some("Failed API level ACL Validation"))
    }

    /// A table whose rows may not be queried at all.
    pub(super) fn table_refused() -> Self {
        Self::new(403, "Insufficient rights to query records", None)
    }

    /// The write succeeded, its answer may not be read; the text has no public source (KB2697679).
    pub(super) fn written_but_unreadable() -> Self {
        Self::new(403, "User Not Authorized", Some("ACL Exception Read Failed due to security constraints"))
    }

    /// A database refused the row; the status has no public source and is a switch.
    pub(super) fn insert_failed(status: u16, table: &str, display: &str) -> Self {
        Self::new(status, "Operation Failed", Some(&format!("Error during insert of {table} ({display})")))
    }

    /// Query access control, current releases (KB0744425).
    pub(super) fn query_refused() -> Self {
        let detail = "Field(s) present in the query do not have permission to be read";
        Self::new(403, "Insufficient rights to query records", Some(detail))
    }

    pub(super) fn not_authenticated(newer_wording: bool) -> Self {
        let message = if newer_wording { "User is not authenticated" } else { "User Not Authenticated" };
        Self::new(401, message, Some("Required to provide Auth information"))
    }

    pub(super) fn rate_limited(limit: u32) -> Self {
        let detail = format!("Rate limit of {limit} requests per hour for Table API exceeded");
        Self::new(429, "Rate limit exceeded", Some(&detail))
    }

    /// A transaction quota rule cancelled the call; the code has no public source, the texts do (KB0778443).
    pub(super) fn transaction_cancelled() -> Self {
        Self::new(500, "Transaction cancelled: maximum execution time exceeded", Some(&cancelled_detail()))
    }

    /// An exception on the server, in its usual clothes (KB0791757).
    pub(super) fn server_error(status: u16) -> Self {
        let detail = "null. Check logs for error trace or enable glide.rest.debug property to verify REST request \
                      processing";
        Self::new(status, "java.lang.NullPointerException", Some(detail))
    }

    /// The word for a negative offset has no public source; that it is refused has (KB0564204).
    /// Status 400 is documented, the text is not ("Attachment API" reference).
    pub(super) fn missing_parameter(name: &str) -> Self {
        Self::new(400, "Exception while reading request", Some(&format!("Missing parameter {name}")))
    }

    /// Not in `glide.attachment.extensions`; neither status nor text has a public source.
    pub(super) fn attachment_type() -> Self {
        let detail = "File type is not allowed or does not match the content of the file.";
        Self::new(400, "Failed to create the attachment", Some(detail))
    }

    /// Above `com.glide.attachment.max_size`; neither status nor text has a public source.
    pub(super) fn attachment_too_large(max: u64) -> Self {
        let detail = format!("File size exceeds the maximum of {max} bytes.");
        Self::new(400, "Failed to create the attachment", Some(&detail))
    }

    /// The row is there, the bytes are not; neither status nor text has a public source.
    pub(super) fn attachment_unavailable() -> Self {
        Self::new(404, "No Record found", Some("The content of the attachment is not available"))
    }

    pub(super) fn bad_parameter(name: &str) -> Self {
        Self::new(400, "Exception while reading request", Some(&format!("Invalid value for {name}")))
    }
}

fn cancelled_detail() -> String {
    "Transaction cancelled: maximum execution time exceeded Check logs for error trace or enable glide.rest.debug \
     property to verify REST request processing"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(refusal: &Refusal, status: u16, body: &str) {
        let response = refusal.response();
        assert_eq!((response.status, String::from_utf8_lossy(&response.body).as_ref()), (status, body));
    }

    #[test]
    fn refusals_come_in_the_envelope() {
        check(
            &Refusal::no_record(),
            404,
            r#"{"error":{"message":"No Record found","detail":"Record doesn't exist or ACL restricts the record retrieval"},"status":"failure"}"#,
        );
        check(
            &Refusal::invalid_table("x"),
            400,
            r#"{"error":{"message":"Invalid table x","detail":null},"status":"failure"}"#,
        );
        check(
            &Refusal::data_policy(&["Resolution code", "Close notes"]),
            403,
            r#"{"error":{"message":"Operation Failed","detail":"Data Policy Exception: \n\tThe following fields are mandatory: Resolution code, Close notes"},"status":"failure"}"#,
        );
        check(
            &Refusal::rate_limited(100),
            429,
            r#"{"error":{"message":"Rate limit exceeded","detail":"Rate limit of 100 requests per hour for Table API exceeded"},"status":"failure"}"#,
        );
    }
}

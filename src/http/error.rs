//! What a caller is told when something is wrong: one code, one status (but for tools that insist on theirs), fixed words. Nothing else in the program knows
//! a status code of ours. The cause behind it goes to the log, never to the caller.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::tenants::Finding;

/// A stable code; documented in `docs/http.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The body is not JSON.
    MalformedJson,
    /// A header or the path makes no sense.
    BadRequest,
    /// The credentials are missing or wrong, or the tenant is not theirs; one answer for all of these.
    Unauthorized,
    /// The caller failed to prove itself too often.
    TooManyFailures,
    /// Whether the caller's token is good cannot be said just now.
    IssuerUnavailable,
    /// The operator's role does not allow this.
    Forbidden,
    /// There is nothing here, or not for you.
    NotFound,
    /// Another method is needed.
    MethodNotAllowed,
    /// The request took too long to arrive.
    RequestTimeout,
    /// The delivery is not in a state that allows this.
    NotParked,
    /// No check of exactly this configuration of a tenant passed.
    NotTested,
    /// The tenant's file does not leave it to an operator whether it is served.
    FileDecides,
    /// A check of this tenant is under way already.
    CheckUnderWay,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The media type or encoding of the body is not accepted.
    UnsupportedMediaType,
    /// The JSON is no valid event; `faults` names each place.
    InvalidEvent,
    /// The files have errors, and nothing of them was applied; `findings` names each place.
    InvalidConfiguration,
    /// The event id was used before for another body.
    EventConflict,
    /// Too much already waits for this incident.
    LaneFull,
    /// Too much already waits for this ticket. Another status than for incidents: ServiceNow's scripts retry on `503`.
    TicketLaneFull,
    /// Too much work of this tenant waits.
    TenantFull,
    /// Too many requests of this tenant wait for the store.
    TenantBusy,
    /// New work is refused so that what was accepted goes on; nothing was stored.
    Overloaded,
    /// The store cannot take work just now; nothing was stored.
    StoreUnavailable,
    /// A defect of ours.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 25] = [
        Self::MalformedJson,
        Self::BadRequest,
        Self::Unauthorized,
        Self::TooManyFailures,
        Self::IssuerUnavailable,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::NotParked,
        Self::NotTested,
        Self::FileDecides,
        Self::CheckUnderWay,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidEvent,
        Self::InvalidConfiguration,
        Self::EventConflict,
        Self::LaneFull,
        Self::TicketLaneFull,
        Self::TenantFull,
        Self::TenantBusy,
        Self::Overloaded,
        Self::StoreUnavailable,
        Self::Internal,
    ];

    /// The word in the answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::TooManyFailures => "too_many_failures",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::NotParked => "not_parked",
            Self::NotTested => "not_tested",
            Self::FileDecides => "file_decides",
            Self::CheckUnderWay => "check_under_way",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidEvent => "invalid_event",
            Self::InvalidConfiguration => "invalid_configuration",
            Self::EventConflict => "event_conflict",
            Self::LaneFull => "lane_full",
            Self::TicketLaneFull => "ticket_lane_full",
            Self::TenantFull => "tenant_full",
            Self::TenantBusy => "tenant_busy",
            Self::Overloaded => "overloaded",
            Self::StoreUnavailable => "store_unavailable",
            Self::Internal => "internal",
        }
    }

    /// Its HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MalformedJson | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotParked | Self::NotTested | Self::FileDecides | Self::CheckUnderWay => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidEvent | Self::InvalidConfiguration | Self::EventConflict => StatusCode::UNPROCESSABLE_ENTITY,
            Self::LaneFull | Self::TenantFull | Self::TenantBusy | Self::TooManyFailures => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::TicketLaneFull | Self::Overloaded | Self::StoreUnavailable | Self::IssuerUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::MalformedJson => "The body is not valid JSON",
            Self::BadRequest => "The request cannot be understood",
            Self::Unauthorized => "Credentials are missing or not valid for this tenant",
            Self::TooManyFailures => "Too many requests with wrong credentials came from your address",
            Self::IssuerUnavailable => "The keys of the token's issuer cannot be had just now",
            Self::Forbidden => "Your role does not allow this",
            Self::NotFound => "There is nothing here",
            Self::MethodNotAllowed => "This method is not allowed here",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::NotParked => "The delivery is not parked",
            Self::NotTested => "No check of exactly this configuration passed",
            Self::FileDecides => "The tenant's file decides whether it is served",
            Self::CheckUnderWay => "This tenant's instance is being checked",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "This media type or encoding is not accepted",
            Self::InvalidEvent => "The event is not valid",
            Self::InvalidConfiguration => "The files have errors, and the configuration stays as it was",
            Self::EventConflict => "This event id was used for another event",
            Self::LaneFull => "Too many changes of this incident are waiting",
            Self::TicketLaneFull => "Too many webhooks of this ticket are waiting",
            Self::TenantFull => "Too much work of this tenant is waiting",
            Self::TenantBusy => "Too many requests of this tenant are waiting",
            Self::Overloaded => "New work is not taken just now",
            Self::StoreUnavailable => "Work cannot be stored just now",
            Self::Internal => "Something failed inside the gateway",
        }
    }
}

/// One thing wrong with an event: where, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Which item of a batch, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// A JSON pointer into the event.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// An answer that says no: RFC 9457 problem details.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    faults: Vec<Fault>,
    findings: Vec<Value>,
    retry_after: Option<Duration>,
    /// Where a caller takes another status than the code's for what is meant.
    status: Option<StatusCode>,
    /// What the log is told instead of the words, where those repeat something of a payload.
    logged: Option<String>,
}

impl ApiError {
    /// With words for this case; they reach the caller.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (faults, findings) = (Vec::new(), Vec::new());
        Self { code, detail: detail.into(), faults, findings, retry_after: None, status: None, logged: None }
    }

    /// With each place that is wrong.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match faults.len() {
            1 => "one fault; see `faults`".to_owned(),
            count => format!("{count} faults; see `faults`"),
        };
        Self::new(Code::InvalidEvent, detail).with_faults(faults)
    }

    /// Files with errors, and where those are.
    pub fn invalid_configuration(findings: &[Finding]) -> Self {
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        let detail = match errors {
            1 => "one error; see `findings`. Nothing was changed".to_owned(),
            count => format!("{count} errors; see `findings`. Nothing was changed"),
        };
        let findings = findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
        Self::new(Code::InvalidConfiguration, detail).with_findings(findings)
    }

    /// Adds the places that are wrong.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    /// Adds what a check found.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Value>) -> Self {
        self.findings = findings;
        self
    }

    /// The caller may come back after this long.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The status for callers that do not come again after the code's own, and how long they are to wait if nothing was said.
    #[must_use]
    pub fn sent_as(mut self, status: StatusCode, wait: Duration) -> Self {
        self.status = Some(status);
        self.retry_after.get_or_insert(wait);
        self
    }

    /// The log is told this alone: what the caller reads may repeat something of its payload.
    #[must_use]
    pub fn logged_as(mut self, words: String) -> Self {
        self.logged = Some(words);
        self
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.code.status())
    }

    /// For the log: the words for this case and the first places that are wrong.
    pub fn in_short(&self) -> String {
        if let Some(words) = &self.logged {
            return words.clone();
        }
        let places = self.faults.iter().take(3).map(|fault| format!("; {} {}", fault.pointer, fault.message));
        places.fold(self.detail.clone(), |text, place| text + &place)
    }

    /// The places that are wrong.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Its code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The words for this case.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

/// RFC 9457 problem details.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem<'a> {
    /// `urn:snowgate:problem:` and the code.
    r#type: String,
    /// The code in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// Stable; `docs/http.md` says what to do about each.
    code: &'static str,
    /// This case in words.
    detail: &'a str,
    /// Each place that is wrong with an event.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<Fault>)]
    faults: &'a [Fault],
    /// What is wrong with the files, or what the last check of a tenant found.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<Object>)]
    findings: &'a [Value],
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let code = self.code.as_str();
        let problem = Problem {
            r#type: format!("urn:snowgate:problem:{code}"),
            title: self.code.title(),
            status: self.status().as_u16(),
            code,
            detail: &self.detail,
            faults: &self.faults,
            findings: &self.findings,
        };
        let mut answer = HttpResponse::build(self.status());
        answer.content_type("application/problem+json");
        if let Some(wait) = self.retry_after {
            answer.insert_header((header::RETRY_AFTER, wait.as_secs().max(1).to_string()));
        }
        if self.code == Code::Unauthorized {
            answer.insert_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"snowgate\"")));
        }
        answer.body(serde_json::to_string(&problem).unwrap_or_default())
    }
}

impl From<crate::store::StoreError> for ApiError {
    fn from(error: crate::store::StoreError) -> Self {
        tracing::error!(error = %error, "The store failed: {error}");
        Self::new(Code::StoreUnavailable, "the store does not answer; try again")
            .retry_after(super::pressure::come_again())
    }
}

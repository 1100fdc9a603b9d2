//! Who may use the admin listener: on loopback everybody, elsewhere whoever holds an operator's token.
//!
//! Owns: the check, and the extractors by which no handler can forget it. Never: knows what a handler does. Fails: with 401,
//! 403, or 404 for a tenant that is not there, in this order. Proved by: the tests here and `tests/it/operators.rs`.

use std::future::{Future, Ready, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use arc_swap::ArcSwap;

use super::error::{ApiError, Code};
use super::{Face, request};
use crate::domain::id::TenantId;
use crate::limits::SENDERS_PER_TENANT_MAX;
use crate::security::api_key::{self, ApiKeyHash};
use crate::store::DeliveryQuery;
use crate::store::audit::Actor;

/// The name in the audit log of whoever uses a listener that asks nobody for theirs.
const UNNAMED: &str = "loopback";

/// What an operator may do; each role includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Pause, resume, replay, drop, check.
    Operate,
    /// Everything.
    Admin,
}

impl Role {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// The operators, or nobody: then the listener is a loopback one and asks for nothing.
/// A reload replaces all of them at once.
#[derive(Debug, Default)]
pub struct Operators(ArcSwap<Known>);

#[derive(Debug, Default)]
struct Known {
    names: Vec<(String, Role)>,
    hashes: Vec<ApiKeyHash>,
}

impl Operators {
    /// With each operator's name, role and the hash of their token.
    pub fn new(operators: impl IntoIterator<Item = (String, Role, ApiKeyHash)>) -> Self {
        let known = Self::default();
        known.replace(operators);
        known
    }

    /// Lets in these from now on, and nobody else.
    pub fn replace(&self, operators: impl IntoIterator<Item = (String, Role, ApiKeyHash)>) {
        let (names, hashes) = operators.into_iter().map(|(name, role, hash)| ((name, role), hash)).unzip();
        self.0.store(Arc::new(Known { names, hashes }));
    }

    /// Who makes this request, if they may do what needs `role`.
    fn check(&self, request: &HttpRequest, role: Role) -> Result<(String, Role), ApiError> {
        let known = self.0.load();
        if known.hashes.is_empty() {
            return from_this_machine(request).map(|()| (UNNAMED.to_owned(), Role::Admin));
        }
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        // A search compares with as many hashes as a tenant may have senders; more operators are more searches.
        let mut chunks = known.hashes.chunks(SENDERS_PER_TENANT_MAX).zip(known.names.chunks(SENDERS_PER_TENANT_MAX));
        let found = chunks.find_map(|(hashes, names)| names.get(api_key::find(token, hashes)?));
        match found {
            Some((name, held)) if *held >= role => Ok((name.clone(), *held)),
            Some((name, _)) => Err(ApiError::new(Code::Forbidden, format!("the role of {name} does not allow this"))),
            None => Err(ApiError::new(Code::Unauthorized, "send `Authorization: Bearer <operator's token>`")),
        }
    }
}

/// What a handler asks of whoever calls it.
pub(super) trait Asks {
    const ROLE: Role;
}

/// Asks for [`Role::Read`].
pub(super) enum Looks {}

/// Asks for [`Role::Operate`].
pub(super) enum Steers {}

/// Asks for [`Role::Admin`].
pub(super) enum Rules {}

impl Asks for Looks {
    const ROLE: Role = Role::Read;
}

impl Asks for Steers {
    const ROLE: Role = Role::Operate;
}

impl Asks for Rules {
    const ROLE: Role = Role::Admin;
}

/// A request of an operator who may do what the handler asks for.
pub(super) struct Operator<A> {
    pub(super) face: Data<Face>,
    /// For the audit log.
    pub(super) by: Actor,
    asks: PhantomData<A>,
}

/// The same, about the tenant that the path names.
pub(super) struct Concerning<A> {
    pub(super) face: Data<Face>,
    pub(super) tenant: TenantId,
    /// For the audit log.
    pub(super) by: Actor,
    asks: PhantomData<A>,
}

impl<A: Asks> FromRequest for Operator<A> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(checked::<A>(request).map(|(face, by)| Self { face, by, asks: PhantomData }))
    }
}

impl<A: Asks> FromRequest for Concerning<A> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let named = TenantId::parse(request.match_info().query("tenant"));
        let checked = checked::<A>(request);
        Box::pin(async move {
            let ((face, by), tenant) = (checked?, named.map_err(|_| unknown_tenant())?);
            if is_known(&face, &tenant).await? {
                Ok(Self { face, tenant, by, asks: PhantomData })
            } else {
                Err(unknown_tenant())
            }
        })
    }
}

/// Whether there is such a tenant, or was one: the records of a removed tenant stay readable for operators.
async fn is_known(face: &Face, tenant: &TenantId) -> Result<bool, ApiError> {
    if face.registry.find(tenant).is_some() {
        return Ok(true);
    }
    let (state, incidents, direction, before) = (None, Vec::new(), None, None);
    let any = DeliveryQuery { tenant: tenant.clone(), state, incidents, direction, before, limit: 1 };
    Ok(!face.store.deliveries(&any).await?.deliveries.is_empty())
}

fn checked<A: Asks>(request: &HttpRequest) -> Result<(Data<Face>, Actor), ApiError> {
    let face = request.app_data::<Data<Face>>();
    let face = face.ok_or_else(|| ApiError::new(Code::Internal, "this listener has no face"))?;
    let (name, role) = face.operators.check(request, A::ROLE)?;
    let by = Actor { name, role: role.as_str(), source: request::source_of(request), request: request::id_of(request) };
    Ok((Data::clone(face), by))
}

pub(super) fn unknown_tenant() -> ApiError {
    ApiError::new(Code::NotFound, "no such tenant; `GET /v1/tenants` lists them")
}

/// Without operators the listener is a loopback one, but a web page in a browser on this machine reaches it as well: by a
/// foreign origin, or by a name of its own that resolves here. Neither is let in.
fn from_this_machine(request: &HttpRequest) -> Result<(), ApiError> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = header("host").unwrap_or_default();
    let origin = header("origin").map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    let cross_site = header("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if is_loopback(host) && origin.is_none_or(is_loopback) && !cross_site {
        return Ok(());
    }
    Err(ApiError::new(
        Code::Forbidden,
        "call this listener as localhost or by its loopback address, and not from a web page",
    ))
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_web_page_on_this_machine_is_not_an_operator() {
        for (headers, welcome) in [
            (vec![("host", "127.0.0.1:8081")], true),
            (vec![("host", "localhost:8081"), ("origin", "http://localhost:8081")], true),
            (vec![("host", "[::1]:8081")], true),
            (vec![("host", "evil.example:8081")], false),
            (vec![("host", "127.0.0.1.evil.example")], false),
            (vec![("host", "127.0.0.1:8081"), ("origin", "https://evil.example")], false),
            (vec![("host", "127.0.0.1:8081"), ("origin", "null")], false),
            (vec![("host", "127.0.0.1:8081"), ("sec-fetch-site", "cross-site")], false),
            (vec![], false),
        ] {
            let request = headers.iter().fold(TestRequest::default(), |request, header| request.insert_header(*header));
            let let_in = Operators::default().check(&request.to_http_request(), Role::Read).is_ok();
            assert_eq!(let_in, welcome, "{headers:?}");
        }
    }
}

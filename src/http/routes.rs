//! The routes of a listener as a list, so that what is served and what is documented can be compared.
//!
//! Owns: registering; a path has one method, and any other is told that the path is right. Fails: it cannot. Proved by: the
//! tests of [`super::openapi`].

use actix_web::http::Method;
use actix_web::{HttpResponse, Route, middleware, web};

use super::error::{ApiError, Code};
use super::{Face, keys_at_hand};

/// One route.
pub(super) struct Served {
    pub(super) method: Method,
    pub(super) path: &'static str,
    route: Route,
}

impl Served {
    pub(super) const fn get(path: &'static str, route: Route) -> Self {
        Self { method: Method::GET, path, route }
    }

    pub(super) const fn post(path: &'static str, route: Route) -> Self {
        Self { method: Method::POST, path, route }
    }
}

/// Registers them, and what is answered everywhere else.
pub(super) fn all(face: Face, served: Vec<Served>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |routes| {
        routes.app_data(web::Data::new(face));
        for Served { method, path, route } in served {
            let resource = web::resource(path).route(route.method(method)).default_service(web::to(another_method));
            routes.service(resource.wrap(middleware::from_fn(keys_at_hand::look)));
        }
        routes.default_service(web::to(nothing_here));
    }
}

async fn nothing_here() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(Code::NotFound, "docs/http.md says what is here"))
}

async fn another_method() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(Code::MethodNotAllowed, "docs/http.md says which method this path takes"))
}

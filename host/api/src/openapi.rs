//! The API's description, made from the handlers and types that answer: it cannot
//! promise what the code does not have. `tests/golden/openapi.json` shows every
//! change of it to a reviewer.

use axum::Json;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::{
    authority, dead_letter, events, exception, input, measure, operator, outcome, oversight, package, people, poll,
    problem, reconcile, reference, replay, story, target, untaken, view,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portreeve",
        description = "The front door of a plugin host: inputs of authenticated senders, and what people read and do. A refusal has problem details (RFC 9457) as its body, or the words of its channel's protocol. What is refused before it is a request has none: a head that is no HTTP (400), an address that is too long (414), and a head of more than 100 headers or 64 KiB (431).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        input::receive,
        input::receive_below,
        input::challenge,
        input::challenge_below,
        people::sign_in,
        people::who,
        people::sign_out,
        people::list,
        people::add,
        people::roles,
        people::password,
        people::disable,
        people::enable,
        people::key,
        people::revoke,
        operator::orders,
        story::order,
        exception::list,
        exception::show,
        exception::message,
        exception::claim,
        exception::give_back,
        exception::assign,
        exception::comment,
        exception::decide,
        exception::approve,
        exception::refuse,
        exception::together::show,
        exception::together::release,
        untaken::list,
        untaken::show,
        untaken::content,
        dead_letter::list,
        dead_letter::together,
        dead_letter::retry,
        poll::list,
        target::list,
        reconcile::list,
        reconcile::run,
        replay::list,
        replay::dry_run,
        replay::replay,
        reference::load,
        package::list,
        package::install,
        package::stage,
        package::activate,
        package::rollback,
        package::disable,
        package::halt,
        package::resume,
        package::trust,
        authority::show,
        events::catalogue,
        oversight::show,
        measure::show,
        operator::summary,
        operator::checkpoint,
        operator::metrics,
        operator::healthz,
        operator::readyz,
        serve
    ),
    components(schemas(problem::Problem, view::Story, outcome::Outcome)),
    modifiers(&Credentials),
    tags(
        (name = "senders", description = "Sending inputs; a path below a channel reaches its connector as well"),
        (name = "people", description = "Signing in and out, accounts, and what waits for a person with what a person does about it. A session and a key are bearer tokens; what they may do, the account's roles say"),
        (name = "operators", description = "Reading what happened, deciding about orders that are kept back and deliveries that were given up, replacing reference tables, and changing which packages are called"),
        (name = "monitors", description = "Watching the process")
    )
)]
struct Api;

/// How senders, people and machines that read prove themselves.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("sender", bearer());
        components.add_security_scheme("operator", bearer());
        components.add_security_scheme("person", bearer());
        let signature = ApiKeyValue::with_description(
            "x-portreeve-signature",
            "HMAC-SHA256 of the body under the sender's secret, in hexadecimal",
        );
        components.add_security_scheme("signature", SecurityScheme::ApiKey(ApiKey::Header(signature)));
        let stripe = ApiKeyValue::with_description(
            "stripe-signature",
            "Stripe's webhook signature, `t=…,v1=…`, under the endpoint's secret and not older than five minutes",
        );
        components.add_security_scheme("stripe-signature", SecurityScheme::ApiKey(ApiKey::Header(stripe)));
        let adobe = ApiKeyValue::with_description(
            "x-adobe-commerce-webhook-signature",
            "Adobe Commerce's webhook signature: RSA (PKCS #1 v1.5) with SHA-256 over the base64 of the body, in base64",
        );
        components.add_security_scheme("adobe-signature", SecurityScheme::ApiKey(ApiKey::Header(adobe)));
    }
}

/// The document, as indented JSON.
///
/// # Errors
/// None in practice; the serializer's signature has one.
pub fn document() -> Result<String, serde_json::Error> {
    Api::openapi().to_pretty_json()
}

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "monitors", operation_id = "openapi",
    responses(
        (status = 200, description = "OpenAPI", body = Object, content_type = "application/json"),
        (status = 429, description = "Busy; see Retry-After", body = problem::Problem),
    )
)]
pub(crate) async fn serve() -> Response {
    Json(Api::openapi()).into_response()
}

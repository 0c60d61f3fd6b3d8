//! Orders to a warehouse management system (WMS) over REST, and its events by webhook.
//!
//! No vendor has this API; it is ours, as bare as those of third-party warehouses are. What
//! the WMS answers and says:
//!
//! ```text
//! POST /releases               {"orderId","orderNumber","shipTo","lines":[…],…}    201 {"id","orderId","state"}
//! GET  /releases?orderId=…                                200 {"releases":[{"id","orderId","state"}]}
//! POST /orders/{orderId}/change {"orderId","lines":[…]}, all that is to leave      200 {"id","orderId","state"}
//!      409 {"error":{"code":"already-picked"}}   goods of it are out of the shelves
//!      404 {"error":{"code":"no-such-order"}}    it was never released
//! POST /orders/{orderId}/stop  {"orderId","reason","lines":["1"]}; no lines: all   200 {"id","orderId","state","lines"}
//!      409 {"error":{"code":"already-left"}}     goods of it have left
//!      404 {"error":{"code":"no-such-order"}}    it was never released: as good as stopped
//! GET  /orders/{orderId}/stop                             200 {"id","orderId","state","lines"}
//!      404 {"error":{"code":"no-stop"}}          nobody asked for one
//! POST /returns                {"orderId","returnNumber","lines":[…]}              201 {"id","orderId","returnNumber","state"}
//! GET  /returns?orderId=…&returnNumber=…                  200 {"returns":[…]}
//! GET  /stock?limit=…&after=…                             200 {"stock":[…],"next"}, see `listing`
//! GET  /shipments?since=…&limit=…&after=…                 200 {"shipments":[…],"next"}, see `listing`
//! GET  /health                                            200
//! any refusal                                             {"error":{"code","message"}}
//! ```
//!
//! It ignores idempotency keys, so the danger is a second release of one order: the goods
//! leave twice. So nothing is sent that `find` could not ask for again: the natural key has
//! to name the order that the message is about, and of a return, behind a slash, its number.
//! A second release or return is told and never taken for success. What an answer means
//! else is what it means of any such target, see `plugins/lib/rest`.
//!
//! A stop can be repeated: what is stopped stays so, and is answered as before. So `find`
//! takes for a stop that happened only the one of the whole order. After a stop of some
//! lines the host sends again, which is harmless; an earlier stop of other lines is never
//! taken for the one that was lost. A change says all lines as they are to be, and the WMS answers one that
//! is so already as it did at first, whatever it did since: nobody has to ask before it is sent again.
//!
//! Events are posted one by one or as a list, as `application/json`:
//!
//! ```text
//! {"id":"EV-7","type":"allocated","at":"2026-03-02T09:00:00Z","orderId":…,"lines":[…]}
//! ```
//!
//! Here they are only told apart, by `id`; types and fields are the transformer's, see
//! `plugins/transformers/wms-documents`. Each is a document with its bytes as they came.
//!
//! Settings: `base-url`, in front of `/releases`, and `answer-timeout-ms`. Credentials are
//! the host's, and so is the proof that the WMS sent an event.

mod effect;
mod event;
mod listing;

use portreeve_guest_json::listed;
use portreeve_guest_rest::{Answer, Target, patient, refusal};
use portreeve_sdk::connector::*;

use crate::effect::{Effect, Key};

const WMS: Target =
    Target { name: "the WMS", example: "https://wms.example/api/v1", check: "base-url and the credentials" };

struct WmsRest;

impl Connector for WmsRest {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        Ok(listed::received(event::KIND, &input, event::events(&input), event::key))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        let effect = Effect::of(&delivery.message.kind)?;
        let key = Key::of_message(effect, &delivery)?;
        let url = effect.address(WMS.base_url(&delivery.settings)?, &key);
        let request = http::Request::json(http::Method::Post, &url, delivery.message.body)
            .with_header("idempotency-key", &delivery.idempotency_key);
        let response = http::send(patient(request, &delivery.settings)?)?;

        if let Some(nothing) = effect.comes_to_nothing(&response, &key) {
            return nothing;
        }
        match WMS.answered(&response, effect.name())? {
            Answer::Done => effect.done(&response, &key),
            Answer::Refused => {
                let message =
                    format!("the WMS refused {} ({}): {}", effect.name(), response.status, refusal(&response).said);
                Err(Failure::invalid(Problem::new("refused-by-wms", message, "")))
            }
        }
    }

    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        let effect = Effect::of(&query.kind)?;
        let key = Key::parse(effect, &query.natural_key)?;
        let Some(url) = effect.question(WMS.base_url(&query.settings)?, &key) else { return Ok(None) };
        let response = http::send(patient(http::Request::get_json(&url), &query.settings)?)?;
        if effect.is_absent(&response) {
            return Ok(None);
        }
        WMS.told(&response)?;
        effect.found(&response, &key)
    }

    fn poll(request: PollRequest) -> Result<Polled, Failure> {
        listing::page(request)
    }

    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        let url = format!("{}/health", WMS.base_url(&request.settings)?);
        let answer = http::send(patient(http::Request::get_json(&url), &request.settings)?);
        Ok(WMS.report(answer, "says that it is well", "its health"))
    }
}

portreeve_sdk::connector!(WmsRest);

//! Messages to webhooks: posted as they are, with what Standard Webhooks says an answer means.
//!
//! ```text
//! 2xx                          taken
//! 410                          permanent: nobody is there any more, and nothing is to be sent
//! 429 502 503 504              later, after Retry-After
//! any other answer             later: a receiver that is being repaired answers anything
//! no connection                nothing was sent: later
//! a lost connection            unknown
//! ```
//!
//! The three headers of a signature (`webhook-id`, `webhook-timestamp`, `webhook-signature`) are
//! the host's, which has the secret; a guest cannot set them. By `webhook-id`, which is the same
//! however often a message is sent, the receiver knows what it has: so there is no `find`, and the
//! host sends again what it is not sure of.
//!
//! No redirect is followed: whoever moves says so to whoever writes the URL down.
//!
//! Settings: `url`, and `answer-timeout-ms`, 20000 unless set. What stands in an answer's body is
//! not looked at.

use portreeve_guest_rest::{patient, wait};
use portreeve_sdk::connector::*;

struct StandardWebhooks;

impl Connector for StandardWebhooks {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("this connector receives nothing; it posts to webhooks"))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        let Delivery { message, natural_key, settings, .. } = delivery;
        let url = setting(&settings, "url")
            .ok_or_else(|| Failure::permanent("setting `url` is missing; expected where messages are posted"))?;
        let request = http::Request {
            method: http::Method::Post,
            url: url.to_owned(),
            headers: vec![("content-type".to_owned(), message.content_type)],
            body: message.body,
            answer_timeout_ms: http::ANSWER_TIMEOUT_MS,
        };
        let response = http::send(patient(request, &settings)?)?;
        match response.status {
            200..=299 => {
                Ok(Receipt { external_id: natural_key, detail: Some(format!("answered {}", response.status)) })
            }
            410 => Err(Failure::permanent(
                "gone: the subscriber answered 410, it wants no messages any more; take it out of the configuration, \
                 or have it listen again and replay",
            )),
            _ => Err(Failure::Retry(wait(&response))),
        }
    }
}

portreeve_sdk::connector!(StandardWebhooks);

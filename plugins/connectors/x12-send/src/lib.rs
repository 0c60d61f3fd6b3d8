//! X12 sets to trading partners and warehouses: each in an interchange of its own, posted to the
//! partner's endpoint, or to a folder of this host that the partner empties.
//!
//! ```text
//! POST {base-url}{path}    ISA … IEA, application/edi-x12
//!      200 201 202 204     it was taken; what the partner thinks of it comes as a 997
//!      400 409 422         refused, and stays so
//!      429                 not now
//!      408 5xx             unknown
//! ```
//!
//! The control number is the host's and so is the time: ISA13 and GS06 are the number that the
//! delivery has for good, and an interchange that is sent again has the same bytes. A partner
//! that looks control numbers up, as X12 asks of everybody, takes it for what it has. Whether
//! this one does is agreed with it, and is the host's to know: with `knows_repeats = true` in
//! [target.interchange] it sends an interchange whose outcome is unknown again, otherwise that is
//! a person's. Nobody can be asked what a partner has, so `find` finds nothing out.
//!
//! Settings of the target; each of them with a partner behind an `@` (`ISA07:ISA08`) is of that
//! partner alone, and goes before the one of all. Nothing leads out of the target's origin:
//!
//! ```text
//! base-url            = "https://edi.acme.example/inbound"
//! path                = "/{set}-{number}.edi"       without it nothing; {set} is ST01, {number} ISA13
//! sender              = "ZZ:PORTREEVE"              ISA05:ISA06, or with GS02 behind a second colon
//! usage               = "P"                         or T for tests
//! usage@ZZ:ACME       = "T"
//! base-url@ZZ:ACME    = "https://edi.acme.example/test"
//! separators          = "*>~"                       elements, components, segments
//! answer-timeout-ms   = "20000"
//! ```
//!
//! Whom it goes to is the host's word (`interchange-partner`, `interchange-number` and
//! `interchange-at`, by [target.interchange]). Credentials are the host's.

use portreeve_guest_rest::{Answer, PATIENCE, Target, refusal};
use portreeve_guest_x12::clock::Stamp;
use portreeve_guest_x12::outbound::{Outbound, Party, Separators, Unwrappable};
use portreeve_sdk::connector::*;

const PARTNER: Target =
    Target { name: "the partner", example: "https://edi.acme.example/inbound", check: "base-url and the credentials" };

const CONTENT_TYPE: &str = "application/edi-x12";

struct X12Send;

impl Connector for X12Send {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("this connector sends alone; name `x12` as the connector of a channel"))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        let Delivery { message, settings, .. } = delivery;
        let receiver = receiver(&settings)?;
        let settings = of_receiver(settings, &receiver);
        let outbound = outbound(receiver, &settings)?;
        let interchange = outbound.wrap(&message.kind, &message.body).map_err(|error| unwrappable(&error))?;
        let set = message.kind.strip_prefix("x12/").unwrap_or_default();
        let path = setting(&settings, "path").unwrap_or_default();
        let path = path.replace("{set}", set).replace("{number}", &format!("{:09}", outbound.number));
        let request = http::Request {
            method: http::Method::Post,
            url: format!("{}{path}", PARTNER.base_url(&settings)?),
            headers: vec![("content-type".to_owned(), CONTENT_TYPE.to_owned())],
            body: interchange,
            answer_timeout_ms: http::ANSWER_TIMEOUT_MS,
        };
        let response = http::send(PATIENCE.with(request, &settings)?)?;
        let done = matches!(response.status, 202 | 204);
        match if done { Answer::Done } else { PARTNER.answered(&response, "the interchange")? } {
            Answer::Done => Ok(Receipt { external_id: outbound.number.to_string(), detail: None }),
            Answer::Refused => {
                let message = format!("the partner refused it ({}): {}", response.status, refusal(&response).said);
                Err(Failure::invalid(Problem::new("refused-by-partner", message, "")))
            }
        }
    }

    fn find(_: FindQuery) -> Result<Option<Receipt>, Failure> {
        Err(Failure::permanent(
            "nobody can ask a partner what it has; say `find = false`, and `knows_repeats = true` in [target.interchange] of one that takes a repeated control number once",
        ))
    }
}

/// What the host tells of the interchange.
fn told<'a>(settings: &'a [Setting], name: &str) -> Result<&'a str, Failure> {
    setting(settings, name).ok_or_else(|| {
        Failure::permanent(format!("setting `{name}` is missing; add [target.interchange], by which the host tells it"))
    })
}

fn receiver(settings: &[Setting]) -> Result<Party, Failure> {
    Party::parse(told(settings, "interchange-partner")?).map_err(|error| unwrappable(&error))
}

/// Settings as they are for one receiver: its own in front, under their names.
fn of_receiver(settings: Vec<Setting>, receiver: &Party) -> Vec<Setting> {
    let end = format!("@{}:{}", receiver.qualifier, receiver.id);
    let own = settings.iter().filter_map(|own| Some((own.name.strip_suffix(&end)?, &own.value)));
    let mut agreed: Vec<Setting> =
        own.map(|(name, value)| Setting { name: name.to_owned(), value: value.clone() }).collect();
    agreed.extend(settings);
    agreed
}

/// The envelope, by the host's word and what was agreed.
fn outbound(receiver: Party, settings: &[Setting]) -> Result<Outbound, Failure> {
    let whole =
        |name: &str, text: &str| Failure::permanent(format!("setting `{name}` is `{text}`; expected a whole number"));
    let (number, at) = (told(settings, "interchange-number")?, told(settings, "interchange-at")?);
    let sender = setting(settings, "sender").ok_or_else(|| missing("sender", "ZZ:PORTREEVE"))?;
    let test = match setting(settings, "usage").ok_or_else(|| missing("usage", "P"))? {
        "P" => false,
        "T" => true,
        other => return Err(Failure::permanent(format!("setting `usage` is `{other}`; expected P or T"))),
    };
    let separators = setting(settings, "separators").map_or(Ok(Separators::default()), Separators::parse);
    Ok(Outbound {
        sender: Party::parse(sender).map_err(|error| unwrappable(&error))?,
        test,
        number: number.parse().map_err(|_| whole("interchange-number", number))?,
        stamp: Stamp::at(at.parse().map_err(|_| whole("interchange-at", at))?),
        separators: separators.map_err(|error| unwrappable(&error))?,
        receiver,
    })
}

fn missing(name: &str, example: &str) -> Failure {
    Failure::permanent(format!("setting `{name}` is missing; expected for example {example}"))
}

fn unwrappable(error: &Unwrappable) -> Failure {
    Failure::permanent(error.to_string())
}

portreeve_sdk::connector!(X12Send);

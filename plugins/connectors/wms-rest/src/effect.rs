//! What the WMS can be made to do, where it is asked for, and what its answers say of it.

use portreeve_guest_rest::{only, refusal};
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The codes by which the WMS says why it does not stop or change, and that nobody asked it to stop.
const ALREADY_LEFT: &str = "already-left";
const ALREADY_PICKED: &str = "already-picked";
const NO_SUCH_ORDER: &str = "no-such-order";
const NO_STOP: &str = "no-stop";

/// The state of an order of which nothing leaves any more.
const STOPPED: &str = "stopped";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Release,
    Change,
    Stop,
    ExpectReturn,
}

/// What the WMS is asked by: the order, and for a return its number.
pub(crate) struct Key {
    order: String,
    reference: Option<String>,
    /// Whether a message is about some lines alone.
    of_lines: bool,
}

/// The part of a message that names what it is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    order_id: String,
    return_number: Option<String>,
    lines: Option<Vec<IgnoredAny>>,
}

/// What the WMS tells of a release, a stop or a return.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    id: String,
    order_id: String,
    return_number: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
struct Lists {
    releases: Option<Vec<Told>>,
    returns: Option<Vec<Told>>,
}

impl Key {
    /// Reads `ORDERID` or `ORDERID/REFERENCE`.
    pub(crate) fn parse(effect: Effect, natural_key: &str) -> Result<Self, Failure> {
        let (order, reference) = match natural_key.split_once('/') {
            // Behind it stands where the change was said, which the WMS is not told.
            Some((order, _)) if effect == Effect::Change => (order, None),
            Some((order, reference)) => (order, Some(reference.to_owned()).filter(|text| !text.is_empty())),
            // What a cancelled order brings back has no number of anybody's.
            None if effect == Effect::ExpectReturn => (natural_key, Some(format!("cancel-{natural_key}"))),
            None => (natural_key, None),
        };
        if effect == Effect::ExpectReturn && reference.is_none() {
            let message = "found a natural key without the return's number; expected `ORDERID/RETURNNUMBER`, since an \
                           order can have several returns";
            return Err(Failure::permanent(format!("return-without-number: {message}")));
        }
        Ok(Self { order: order.to_owned(), reference, of_lines: false })
    }

    /// The key of a delivery, which names what its message is about: otherwise nobody could
    /// ask for it again.
    pub(crate) fn of_message(effect: Effect, delivery: &Delivery) -> Result<Self, Failure> {
        let key = Self::parse(effect, &delivery.natural_key)?;
        let about: Option<About> = serde_json::from_slice(&delivery.message.body).ok();
        let names = |about: &About| {
            let number = effect != Effect::ExpectReturn || about.return_number == key.reference;
            about.order_id == key.order && number
        };
        match about.filter(names) {
            Some(about) => Ok(Self { of_lines: about.lines.is_some_and(|lines| !lines.is_empty()), ..key }),
            None => Err(Failure::permanent(format!(
                "other-natural-key: the natural key does not name what {} is about, and it could not be found again; \
                 nothing was sent",
                effect.name()
            ))),
        }
    }

    fn is_of(&self, told: &Told) -> bool {
        told.order_id == self.order && (self.reference.is_none() || told.return_number == self.reference)
    }
}

impl Effect {
    pub(crate) fn of(kind: &str) -> Result<Self, Failure> {
        match kind {
            "wms-rest/release" => Ok(Self::Release),
            "wms-rest/change" => Ok(Self::Change),
            "wms-rest/stop" => Ok(Self::Stop),
            "wms-rest/expect-return" => Ok(Self::ExpectReturn),
            other => Err(Failure::permanent(format!("this connector knows no messages of kind `{other}`"))),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "the release",
            Self::Change => "the change",
            Self::Stop => "the stop",
            Self::ExpectReturn => "the return",
        }
    }

    /// Where it is posted.
    pub(crate) fn address(self, base_url: &str, key: &Key) -> String {
        match self {
            Self::Release => format!("{base_url}/releases"),
            Self::Change => format!("{base_url}/orders/{}/change", http::escaped(&key.order)),
            Self::Stop => format!("{base_url}/orders/{}/stop", http::escaped(&key.order)),
            Self::ExpectReturn => format!("{base_url}/returns"),
        }
    }

    /// Where it is asked for; nowhere where sending it again does no harm.
    pub(crate) fn question(self, base_url: &str, key: &Key) -> Option<String> {
        let (order, reference) = (http::escaped(&key.order), key.reference.as_deref().unwrap_or_default());
        match self {
            Self::Release => Some(format!("{base_url}/releases?orderId={order}")),
            Self::Change => None,
            Self::Stop => Some(format!("{base_url}/orders/{order}/stop")),
            Self::ExpectReturn => {
                Some(format!("{base_url}/returns?orderId={order}&returnNumber={}", http::escaped(reference)))
            }
        }
    }

    /// What comes of a stop that stops nothing and of a change of what is not there, where that is the
    /// WMS's answer: no other try changes it. An order that it was never given is as good as stopped: the
    /// host sends an order's release before its stop, or not at all.
    pub(crate) fn comes_to_nothing(self, response: &http::Response, key: &Key) -> Option<Result<Receipt, Failure>> {
        if !matches!(self, Self::Stop | Self::Change) || !matches!(response.status, 404 | 409) {
            return None;
        }
        let refusal = refusal(response);
        match (self, response.status, refusal.code.as_deref()?) {
            (Self::Stop, 409, ALREADY_LEFT) => Some(Err(Failure::permanent(
                "already-left: goods of the order have left the warehouse; expect a return instead",
            ))),
            (Self::Stop, 404, NO_SUCH_ORDER) => {
                let detail = Some("the WMS has no release of it".to_owned());
                Some(Ok(Receipt { external_id: key.order.clone(), detail }))
            }
            (Self::Change, 409, ALREADY_PICKED) => Some(Err(Failure::permanent(
                "already-picked: goods of the order are out of the shelves, and the release stays as it was; ask the \
                 warehouse's people to make the change, or expect a return of what leaves too much",
            ))),
            (Self::Change, 404, NO_SUCH_ORDER) => Some(Err(Failure::permanent(
                "no-such-order: the WMS has no release of the order that was to be changed; ask its people what became \
                 of it",
            ))),
            _ => None,
        }
    }

    /// Whether the WMS says that nobody asked for a stop. Another 404 may come from a wrong
    /// address, and tells nothing.
    pub(crate) fn is_absent(self, response: &http::Response) -> bool {
        self == Self::Stop && response.status == 404 && refusal(response).code.as_deref() == Some(NO_STOP)
    }

    /// The receipt of something that was done. It has happened: an answer that cannot be read
    /// leaves its number unknown, which `find` then tells.
    pub(crate) fn done(self, response: &http::Response, key: &Key) -> Result<Receipt, Failure> {
        let told: Option<Told> = serde_json::from_slice(&response.body).ok();
        let told = told.filter(|told| key.is_of(told) && !told.id.is_empty()).ok_or_else(|| {
            Failure::unknown(format!("the WMS took {}, but its answer does not name it as its own", self.name()))
        })?;
        // What goes on leaving would be cancelled everywhere else.
        if self == Self::Stop && !key.of_lines && told.state.as_deref() != Some(STOPPED) {
            let message = "part-stopped: the WMS stopped some of the order only; ask its people about the rest";
            return Err(Failure::permanent(message));
        }
        Ok(receipt(told))
    }

    /// What was found.
    pub(crate) fn found(self, response: &http::Response, key: &Key) -> Result<Option<Receipt>, Failure> {
        if self == Self::Stop {
            let told: Told = serde_json::from_slice(&response.body).map_err(|_| self.unreadable())?;
            if !key.is_of(&told) || told.id.is_empty() {
                return Err(self.unreadable());
            }
            return Ok(Some(told).filter(|told| told.state.as_deref() == Some(STOPPED)).map(receipt));
        }
        let lists: Lists = serde_json::from_slice(&response.body).map_err(|_| self.unreadable())?;
        let list = if self == Self::Release { lists.releases } else { lists.returns };
        let list = list.ok_or_else(|| self.unreadable())?;
        // A list of others' would be one that was not filtered, and perhaps cut before ours.
        if list.iter().any(|told| !key.is_of(told) || told.id.is_empty()) {
            return Err(self.unreadable());
        }
        Ok(only(list, |count, first, second| self.twice(count, first, second))?.map(receipt))
    }

    fn twice(self, count: usize, first: &Told, second: &Told) -> Failure {
        let (code, what) = match self {
            Self::ExpectReturn => ("return-twice", "returns of this number"),
            Self::Release | Self::Change | Self::Stop => ("released-twice", "releases of this order"),
        };
        let (first, second) = (&first.id, &second.id);
        Failure::permanent(format!(
            "{code}: the WMS has {count} {what}, {first} and {second} among them; have all but one taken back there, \
             then replay"
        ))
    }

    fn unreadable(self) -> Failure {
        Failure::permanent(format!("the WMS's answer about {} is not the JSON that was asked for", self.name()))
    }
}

fn receipt(told: Told) -> Receipt {
    Receipt { external_id: told.id, detail: told.state.map(|state| format!("state {state}")) }
}

//! Trading partners behind one endpoint: they take interchanges, keep a ledger by control number,
//! and acknowledge each with a 997, as they are told to: accepting it, with errors, rejecting it,
//! or never.
//!
//! As partners do, they look at the envelope first. What is numbered or counted wrongly, or comes
//! under a number that they know with other bytes, is refused and in the ledger as such. What
//! comes again with the same bytes is what they have: counted, and of no second effect.
//!
//! They send nothing by themselves: whoever plays them posts what they have to say.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::super::mischief::{Mischief, RETRY_AFTER, SLOW_ANSWER, Trick, hung_up};
use super::super::serving::{Serving, entry};
use super::Asked;

/// What partners say of what they got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answers {
    /// `AK5*A`.
    #[default]
    Accepted,
    /// `AK5*E`.
    WithErrors,
    /// `AK5*R`, for an element of the set's second segment.
    Rejected,
    /// A TA1 that rejects the interchange, and no 997.
    Unreadable,
    /// Nothing.
    Never,
}

/// An interchange in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place among the entries of all ledgers.
    pub entry: u64,
    /// Who sent it: ISA05 and ISA06 with a colon between.
    pub sender: String,
    /// Who got it: ISA07 and ISA08, in the same way.
    pub receiver: String,
    /// ISA13.
    pub control: u64,
    /// GS06.
    pub group: String,
    /// ST01.
    pub set: String,
    /// What stands between ST and SE: tags and elements.
    pub segments: Vec<Vec<String>>,
    /// How often it came, the same bytes each time.
    pub times: u32,
}

impl Entry {
    /// An element of the first segment with a tag; empty where there is none.
    #[must_use]
    pub fn element(&self, tag: &str, number: usize) -> &str {
        let segment = self.segments.iter().find(|segment| segment.first().is_some_and(|first| first == tag));
        segment.and_then(|segment| segment.get(number)).map_or("", String::as_str)
    }
}

/// The partners.
#[derive(Debug)]
pub struct Partner {
    pub(super) books: Arc<Books>,
    serving: Serving,
}

#[derive(Debug)]
pub(super) struct Books {
    mischief: Mischief,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What they asked to have otherwise.
    pub(super) asked: Vec<Asked>,
    answers: Answers,
    ledger: Vec<Entry>,
    bytes: BTreeMap<(String, u64), Vec<u8>>,
    attempts: BTreeMap<(String, u64), u32>,
    faults: Vec<String>,
    /// What is to be said, an interchange each.
    to_say: Vec<Vec<u8>>,
    said: u32,
}

/// An interchange as it came.
struct Read {
    sender: String,
    receiver: String,
    control: u64,
    functional: String,
    group: String,
    group_sender: String,
    group_receiver: String,
    set: String,
    segments: Vec<Vec<String>>,
}

impl Partner {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(mischief: Mischief) -> io::Result<Self> {
        let books = Arc::new(Books { mischief, kept: Mutex::default() });
        let routes = Router::new().route("/", post(take)).route("/{name}", post(take)).with_state(Arc::clone(&books));
        Ok(Self { books, serving: Serving::start(routes).await? })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.serving.origin()
    }

    /// From now on they say this of what they get.
    pub fn answer(&self, answers: Answers) {
        self.books.kept().answers = answers;
    }

    /// Takes an interchange from a folder.
    pub fn collect(&self, bytes: &[u8]) {
        self.books.kept().take(bytes);
    }

    /// What came, once each, in the order in which it came first.
    #[must_use]
    pub fn ledger(&self) -> Vec<Entry> {
        self.books.kept().ledger.clone()
    }

    /// What came after so many interchanges, as [`Partner::ledger`] has it.
    #[must_use]
    pub fn ledger_after(&self, count: usize) -> Vec<Entry> {
        self.books.kept().ledger.iter().skip(count).cloned().collect()
    }

    /// What was wrong with what came: envelopes, and numbers that came with other bytes.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.books.kept().faults.clone()
    }

    /// What they have to say since this was asked last: 997 and TA1, an interchange each.
    #[must_use]
    pub fn acknowledgements(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.books.kept().to_say)
    }

    /// Stops.
    ///
    /// # Errors
    /// When the server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        self.serving.stop().await
    }
}

impl Books {
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to this attempt.
    fn trick(&self, bytes: &[u8]) -> Option<Trick> {
        let read = read(bytes).ok()?;
        let mut kept = self.kept();
        let attempts = kept.attempts.entry((read.receiver.clone(), read.control)).or_default();
        let trick = self.mischief.trick(&format!("{}/{}", read.receiver, read.control), *attempts);
        *attempts = attempts.saturating_add(1);
        trick
    }
}

async fn take(State(books): State<Arc<Books>>, bytes: Bytes) -> Response {
    match books.trick(&bytes) {
        Some(Trick::Throttle) => return (StatusCode::TOO_MANY_REQUESTS, RETRY_AFTER, "").into_response(),
        Some(Trick::FailBefore) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Trick::Reject) => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        Some(Trick::DropAfter) => {
            books.kept().take(&bytes);
            return hung_up();
        }
        Some(Trick::SlowAfter) => {
            books.kept().take(&bytes);
            tokio::time::sleep(SLOW_ANSWER).await;
        }
        None => books.kept().take(&bytes),
    }
    StatusCode::ACCEPTED.into_response()
}

impl Kept {
    fn take(&mut self, bytes: &[u8]) {
        let read = match read(bytes) {
            Ok(read) => read,
            Err(why) => return self.faults.push(why),
        };
        let known = (read.receiver.clone(), read.control);
        match self.bytes.get(&known) {
            Some(first) if first == bytes => {
                let entry =
                    self.ledger.iter_mut().find(|entry| (&entry.receiver, entry.control) == (&known.0, known.1));
                if let Some(entry) = entry {
                    entry.times = entry.times.saturating_add(1);
                }
            }
            Some(_) => self.faults.push(format!("{} got number {} with other bytes", known.0, known.1)),
            None => {
                self.say(&read);
                self.bytes.insert(known, bytes.to_vec());
                let Read { sender, receiver, control, group, set, segments, .. } = read;
                self.ledger.push(Entry { entry: entry(), sender, receiver, control, group, set, segments, times: 1 });
            }
        }
    }

    /// What is to be said of an interchange that came first.
    fn say(&mut self, read: &Read) {
        let ta1 = |status: &str, note: &str| format!("TA1*{:09}*260302*0800*{status}*{note}", read.control);
        let (ak5, detail) = match self.answers {
            Answers::Never => return,
            Answers::Unreadable => {
                let segments = self.envelope(read, None, vec![ta1("R", "024")]);
                return self.to_say.push(segments);
            }
            Answers::Accepted => ("AK5*A", vec![]),
            Answers::WithErrors => ("AK5*E*5", vec!["AK3*CTT*9**8".to_owned()]),
            Answers::Rejected => ("AK5*R*5", vec![format!("AK3*{}*2**8", tag(read)), "AK4*2*373*8".to_owned()]),
        };
        let status = if ak5.starts_with("AK5*R") { "R*1*1*0" } else { "A*1*1*1" };
        let mut set = vec![
            "ST*997*0001".to_owned(),
            format!("AK1*{}*{}", read.functional, read.group),
            format!("AK2*{}*0001", read.set),
        ];
        set.extend(detail);
        set.extend([ak5.to_owned(), format!("AK9*{status}")]);
        set.push(format!("SE*{}*0001", set.len().saturating_add(1)));
        let interchange = self.envelope(read, Some("FA"), set);
        self.to_say.push(interchange);
    }

    /// An interchange back to the sender, with the partner's own next number.
    fn envelope(&mut self, read: &Read, functional: Option<&str>, inner: Vec<String>) -> Vec<u8> {
        self.said = self.said.saturating_add(1);
        // Apart from those of its orders.
        let number = 900_000_u32.saturating_add(self.said);
        let (from, id) = read.receiver.split_once(':').unwrap_or_default();
        let (to, host) = read.sender.split_once(':').unwrap_or_default();
        let mut segments = vec![format!(
            "ISA*00*          *00*          *{from}*{id:<15}*{to}*{host:<15}*260302*0800*U*00401*{number:09}*0*P*>"
        )];
        let groups = u8::from(functional.is_some());
        segments.extend(functional.map(|code| {
            format!("GS*{code}*{}*{}*20260302*0800*{number}*X*004010", read.group_receiver, read.group_sender)
        }));
        segments.extend(inner);
        segments.extend(functional.map(|_| format!("GE*1*{number}")));
        segments.push(format!("IEA*{groups}*{number:09}"));
        segments.iter().map(|segment| format!("{segment}~\n")).collect::<String>().into_bytes()
    }
}

/// The tag of the set's second segment.
fn tag(read: &Read) -> &str {
    read.segments.first().and_then(|segment| segment.first()).map_or("", String::as_str)
}

/// Reads one interchange of one group of one set, as strictly as partners do.
fn read(bytes: &[u8]) -> Result<Read, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "an interchange is no text".to_owned())?;
    let mut marks = text.chars();
    let (element, terminator) = (marks.nth(3), marks.nth(101));
    let (Some(element), Some(terminator)) = (element, terminator) else {
        return Err("an ISA is cut".to_owned());
    };
    let segments: Vec<Vec<String>> = text
        .split(terminator)
        .map(|segment| segment.trim().split(element).map(str::to_owned).collect::<Vec<_>>())
        .filter(|segment| segment.first().is_some_and(|tag| !tag.is_empty()))
        .collect();
    let at = |index: usize, element: usize| {
        segments.get(index).and_then(|segment| segment.get(element)).map_or("", |value| value.trim())
    };
    let tags: Vec<&str> = segments.iter().map(|segment| segment.first().map_or("", String::as_str)).collect();
    let (Some(last), ["ISA", "GS", "ST", .., "SE", "GE", "IEA"]) = (segments.len().checked_sub(1), tags.as_slice())
    else {
        return Err(format!("found {}, expected one set in one group", tags.join(" ")));
    };
    let (set_end, group_end) = (last.saturating_sub(2), last.saturating_sub(1));
    let count = set_end.saturating_sub(1).to_string();
    let expected = [
        (at(0, 13), at(last, 2), "ISA13 and IEA02"),
        ("1", at(last, 1), "IEA01"),
        (at(1, 6), at(group_end, 2), "GS06 and GE02"),
        ("1", at(group_end, 1), "GE01"),
        (at(2, 2), at(set_end, 2), "ST02 and SE02"),
        (&count, at(set_end, 1), "SE01"),
    ];
    if let Some((wanted, found, which)) = expected.into_iter().find(|(wanted, found, _)| wanted != found) {
        return Err(format!("{which}: found `{found}`, expected `{wanted}`"));
    }
    let control = at(0, 13).parse().map_err(|_| "ISA13 is no number".to_owned())?;
    Ok(Read {
        sender: format!("{}:{}", at(0, 5), at(0, 6)),
        receiver: format!("{}:{}", at(0, 7), at(0, 8)),
        control,
        functional: at(1, 1).to_owned(),
        group: at(1, 6).to_owned(),
        group_sender: at(1, 2).to_owned(),
        group_receiver: at(1, 3).to_owned(),
        set: at(2, 1).to_owned(),
        segments: segments.get(3..set_end).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn interchange(control: u64, number: &str) -> Vec<u8> {
        let segments = [
            format!(
                "ISA*00*          *00*          *ZZ*PORTREEVE      *ZZ*ACME           *260302*0800*U*00401*{control:09}*0*P*>"
            ),
            format!("GS*IN*PORTREEVE*ACME*20260302*0800*{control}*X*004010"),
            "ST*810*0001".to_owned(),
            format!("BIG*20260304*{number}"),
            "SE*3*0001".to_owned(),
            format!("GE*1*{control}"),
            format!("IEA*1*{control:09}"),
        ];
        segments.iter().map(|segment| format!("{segment}~\n")).collect::<String>().into_bytes()
    }

    #[test]
    fn what_comes_again_is_counted_and_another_message_under_a_number_is_a_fault() {
        let mut kept = Kept::default();
        for bytes in
            [interchange(1, "INV-1"), interchange(1, "INV-1"), interchange(2, "INV-2"), interchange(1, "INV-9")]
        {
            kept.take(&bytes);
        }
        let seen: Vec<_> =
            kept.ledger.iter().map(|entry| (entry.control, entry.element("BIG", 2), entry.times)).collect();
        assert_eq!(seen, [(1, "INV-1", 2), (2, "INV-2", 1)]);
        assert_eq!((kept.faults.len(), kept.to_say.len()), (1, 2), "each is acknowledged once");
        let said = String::from_utf8_lossy(&kept.to_say[0]).into_owned();
        for segment in
            ["*ZZ*ACME           *ZZ*PORTREEVE      *", "GS*FA*ACME*PORTREEVE*", "AK1*IN*1~", "AK2*810*0001~", "AK5*A~"]
        {
            assert!(said.contains(segment), "{segment} in {said}");
        }
    }

    #[test]
    fn what_is_counted_or_numbered_wrongly_is_refused() {
        let text = String::from_utf8_lossy(&interchange(1, "INV-1")).into_owned();
        for (from, to) in
            [("SE*3", "SE*4"), ("GE*1*1", "GE*1*2"), ("IEA*1*000000001", "IEA*1*000000002"), ("GE*1", "GE*2")]
        {
            let mut kept = Kept::default();
            kept.take(text.replace(from, to).as_bytes());
            assert_eq!((kept.ledger.len(), kept.faults.len()), (0, 1), "{to}");
        }
    }
}

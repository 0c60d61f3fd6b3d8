//! What the ERP posted since it was asked last: invoices or credit memos, with their lines.
//!
//! ```text
//! GET salesInvoices?$filter=lastModifiedDateTime ge FLOOR&$orderby=lastModifiedDateTime
//!     &$expand=salesInvoiceLines      Prefer: odata.maxpagesize=50
//! @odata.nextLink                     while a page has nothing that is new
//! GET salesInvoices?$filter=number eq 'A' or number eq 'B'…&$select=number,postingDate,status
//!                                     of a page of credit memos, the invoices that they correct
//! ```
//!
//! The dangers are a document that is passed over and one that is told for ever. A clock of the
//! ERP that stands back, a posting that commits after a later one, and equal times all put
//! something behind the newest that was seen. So each poll asks for the last minutes once more
//! (`poll-overlap-seconds`), and the cursor has what it saw there:
//!
//! ```text
//! bc1 1772438400000                       FLOOR, milliseconds since 1970
//! 5d1c…-…  2026-03-02T08:00:12.467Z       what was told with a time from there on
//! ```
//!
//! Only the ERP's own times are compared, so the host's clock does not matter. A list that is not
//! in the order that was asked for ends the poll: behind its end nothing would be known.
//!
//! A document is what was posted and nothing that changes later (what is paid of it, its status),
//! with its numbers as they were written: told again it is the same. Drafts are none, and what
//! does not name an order of a host is somebody else's.
//!
//! A credit memo gives tax back at the rates of the day of the invoice that it corrects, which the
//! ERP does not tell with it. So that day is asked for, and told as `invoicePostingDate`; where the
//! ERP has no such invoice, or two, nothing is told of it.
//!
//! Settings: `poll` is `salesInvoices` or `salesCreditMemos`; `poll-since` is where the first poll
//! begins, and where the next one does if that is later than FLOOR; `poll-page` is how many are asked
//! for at once, 50 unless set.
//!
//! Sources: Microsoft's "Dynamics 365 Business Central API v2.0", resource types salesInvoice and
//! salesCreditMemo; "Tips for working with the APIs" (`odata.maxpagesize`, `@odata.nextLink`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portreeve_guest_json::moment;
use portreeve_guest_rest::{Since, TooMany, patient, whole_number};
use portreeve_sdk::connector::*;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::document::is_posted;
use crate::{ERP, company_url};

/// What was seen that a cursor remembers. The host keeps 64 KiB of one, and an entry has 62 bytes.
const SEEN_MAX: usize = 900;

/// Pages of one poll. At 50 documents they have more than is remembered, so a poll gets to
/// something new or to the end; with smaller ones the overlap gives way to what comes behind it.
const PAGES_MAX: usize = 20;

/// Documents of a page, unless set, and at most. A page has 2 MiB at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

/// How far back is asked again, unless set, and at most.
const OVERLAP_S: i64 = 300;
const OVERLAP_S_MAX: i64 = 86_400;

/// How far what is nobody's may move on before the cursor does: a cursor that moves is a record.
const UNTOLD_MS: i64 = 3_600_000;

/// Invoices that are asked about at once: with a page's twenty requests at most eight more.
const CORRECTED_AT_ONCE: usize = 25;

/// Characters of a document's number in the ERP.
const NUMBER_CHARS_MAX: usize = 20;

/// The first line of a cursor.
const VERSION: &str = "bc1";

/// Bytes of a key.
const KEY_BYTES_MAX: usize = 256;

/// Members of a document and of its lines that were posted and stay, in the order in which they
/// are told.
const HEAD: [&str; 21] = [
    "number",
    "externalDocumentNumber",
    "customerNumber",
    "currencyCode",
    "orderNumber",
    "invoiceNumber",
    "invoiceDate",
    "creditMemoDate",
    "postingDate",
    "dueDate",
    "pricesIncludeTax",
    "shipToName",
    "shipToAddressLine1",
    "shipToAddressLine2",
    "shipToCity",
    "shipToState",
    "shipToPostCode",
    "shipToCountry",
    "totalAmountExcludingTax",
    "totalTaxAmount",
    "totalAmountIncludingTax",
];
const LINE: [&str; 9] = [
    "sequence",
    "lineType",
    "lineObjectNumber",
    "description",
    "unitOfMeasureCode",
    "quantity",
    "unitPrice",
    "amountExcludingTax",
    "invoiceDiscountAllocation",
];

/// When a document changed last, as by a payment of it.
const MODIFIED: &str = "lastModifiedDateTime";

/// What is polled.
#[derive(Clone, Copy)]
struct Source {
    /// The list.
    documents: &'static str,
    lines: &'static str,
    /// The kind of its documents.
    kind: &'static str,
}

/// The list of credit memos, and its member that names the invoice that one corrects.
const MEMOS: &str = "salesCreditMemos";
const CORRECTS: &str = "invoiceNumber";

const SOURCES: [Source; 2] = [
    Source { documents: "salesInvoices", lines: "salesInvoiceLines", kind: "business-central/sales-invoice" },
    Source { documents: MEMOS, lines: "salesCreditMemoLines", kind: "business-central/sales-credit-memo" },
];

type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The day of each invoice, by its number; none of one that is there twice.
type Days = BTreeMap<String, Option<String>>;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

/// An object of which no member is there twice.
struct Once<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Once<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collected)
    }
}

struct Collected;

impl<'de> Visitor<'de> for Collected {
    type Value = Once<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once<'de>, A::Error> {
        let mut members = Members::new();
        while let Some((name, value)) = map.next_entry::<&str, &RawValue>()? {
            if members.insert(name, value).is_some() {
                return Err(serde::de::Error::custom("a member is there twice"));
            }
        }
        Ok(Once(members))
    }
}

/// Where the last poll stopped: id and time as it is written, with the time.
type Cursor = Since<String>;

/// What one poll found.
#[derive(Default)]
struct Found {
    documents: Vec<Document>,
    problems: Vec<Problem>,
    /// The newest time.
    high: Option<InstantMs>,
}

/// Fetches what was posted since.
pub(crate) fn poll(request: &PollRequest) -> Result<Polled, Failure> {
    let settings = request.settings.as_slice();
    let source = source(settings)?;
    let overlap_ms = whole_number(settings, "poll-overlap-seconds", OVERLAP_S, OVERLAP_S_MAX)?.saturating_mul(1_000);
    let mut cursor = match &request.cursor {
        Some(bytes) => {
            let cursor = Cursor::read(bytes, VERSION, entry)?;
            // Whoever goes on from a cursor needs no beginning any more.
            if setting(settings, "poll-since").is_some() { cursor.not_before(since(settings)?) } else { cursor }
        }
        None => Cursor::beginning(since(settings)?),
    };
    let company = company_url(settings)?;
    let mut url = first_page(&company, source, cursor.from())?;
    let mut found = Found::default();
    let mut goes_on = true;
    for _ in 0..PAGES_MAX {
        let next = page(&url, source, settings, &mut cursor, &mut found)?;
        let Some(next) = next else {
            goes_on = false;
            break;
        };
        if !found.documents.is_empty() || !found.problems.is_empty() {
            break;
        }
        if !next.starts_with(&format!("{company}/{}", source.documents)) {
            return Err(Failure::permanent("the ERP's next page lies elsewhere; check base-url"));
        }
        url = next;
    }
    let Found { documents, problems, high } = found;
    let is_nothing = documents.is_empty() && problems.is_empty();
    let moved = high.is_some_and(|high| high.saturating_sub(overlap_ms).saturating_sub(cursor.from()) > UNTOLD_MS);
    if is_nothing && !goes_on && !moved {
        return Ok(Polled { documents, problems, cursor: None });
    }
    // A page that goes on is behind all that is remembered: what is nobody's stands in the way.
    let stands = is_nothing && goes_on;
    let floor = high.unwrap_or_default().saturating_sub(if stands { 0 } else { overlap_ms });
    if stands && floor <= cursor.from() {
        return Err(too_many_at_once());
    }
    cursor.move_to(floor, SEEN_MAX).map_err(|TooMany| too_many_at_once())?;
    Ok(Polled { documents, problems, cursor: Some(cursor.written(VERSION, |seen, _| seen.clone())) })
}

fn source(settings: &[Setting]) -> Result<Source, Failure> {
    let found = setting(settings, "poll");
    let known = SOURCES.into_iter().find(|source| Some(source.documents) == found);
    known.ok_or_else(|| {
        Failure::permanent("setting `poll` is missing or another list; expected `salesInvoices` or `salesCreditMemos`")
    })
}

fn first_page(company: &str, source: Source, floor: InstantMs) -> Result<String, Failure> {
    let floor = moment::written(floor).ok_or_else(|| Failure::permanent("the cursor has a time that is none"))?;
    let filter = http::escaped(&format!("lastModifiedDateTime ge {floor}"));
    let Source { documents, lines, .. } = source;
    Ok(format!("{company}/{documents}?$filter={filter}&$orderby=lastModifiedDateTime&$expand={lines}"))
}

/// Reads a page, and says where the next one is.
fn page(
    url: &str,
    source: Source,
    settings: &[Setting],
    cursor: &mut Cursor,
    found: &mut Found,
) -> Result<Option<String>, Failure> {
    let most = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    let size = whole_number(settings, "poll-page", i64::try_from(PAGE).unwrap_or(most), most)?;
    let request = http::Request::get_json(url).with_header("prefer", &format!("odata.maxpagesize={size}"));
    let response = http::send(patient(request, settings)?)?;
    ERP.told(&response)?;
    let page = read(&response.body, source.documents)?;
    let days = corrected_days(&page, source, settings, cursor)?;
    for (index, item) in page.value.into_iter().enumerate() {
        take(item, &format!("value[{index}]"), source, &days, cursor, found)?;
    }
    Ok(page.next)
}

fn read<'a>(body: &'a [u8], documents: &str) -> Result<Page<'a>, Failure> {
    serde_json::from_slice(body)
        .map_err(|_| Failure::permanent(format!("the ERP's list of {documents} is not the JSON that was expected")))
}

/// On which days the invoices were posted that a page's new credit memos correct, by number.
fn corrected_days(page: &Page<'_>, source: Source, settings: &[Setting], cursor: &Cursor) -> Result<Days, Failure> {
    let mut days = Days::new();
    if source.documents != MEMOS {
        return Ok(days);
    }
    let is_told = |members: &Members<'_>| {
        let named = text(members, "id").zip(text(members, "lastModifiedDateTime"));
        is_a_hosts(members) && named.is_some_and(|(id, modified)| !cursor.has_told(&seen(&id, &modified)))
    };
    let told = page.value.iter().filter_map(|item| members(item)).filter(is_told);
    let numbers = told.filter_map(|members| text(&members, CORRECTS)).filter(|number| is_number(number));
    let numbers: Vec<String> = numbers.collect::<BTreeSet<_>>().into_iter().collect();
    for numbers in numbers.chunks(CORRECTED_AT_ONCE) {
        let filter: Vec<String> =
            numbers.iter().map(|number| format!("number eq '{}'", number.replace('\'', "''"))).collect();
        let filter = http::escaped(&filter.join(" or "));
        let url =
            format!("{}/salesInvoices?$filter={filter}&$select=number,postingDate,status", company_url(settings)?);
        let response = http::send(patient(http::Request::get_json(&url), settings)?)?;
        ERP.told(&response)?;
        for invoice in read(&response.body, "salesInvoices")?.value.into_iter().filter_map(members) {
            let Some((number, day)) = text(&invoice, "number").zip(text(&invoice, "postingDate")) else { continue };
            if is_posted(&text(&invoice, "status").unwrap_or_default()) {
                days.entry(number).and_modify(|known| *known = None).or_insert(Some(day));
            }
        }
    }
    Ok(days)
}

fn is_number(number: &str) -> bool {
    (1..=NUMBER_CHARS_MAX).contains(&number.chars().count())
}

/// What was posted of orders of a host, in a page of a list whose rows are told as they are now; none
/// where it is no such page.
pub(crate) fn posted_in(page: &RawValue, documents: &str) -> Option<(Vec<Document>, Vec<Problem>)> {
    let source = SOURCES.into_iter().find(|source| source.documents == documents)?;
    let rows: Vec<&RawValue> = serde_json::from_str(page.get()).ok()?;
    let (mut told, mut problems) = (Vec::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        let place = format!("value[{index}]");
        let Some(members) = members(row) else {
            problems.push(Problem::new("malformed-document", "found no object that has each member once", place));
            continue;
        };
        if !is_a_hosts(&members) {
            continue;
        }
        match document(&members, &place, source, &Days::new(), &[MODIFIED]) {
            Ok(document) => told.push(document),
            Err(problem) => problems.push(*problem),
        }
    }
    Some((told, problems))
}

/// Whether it was posted and names an order of a host.
fn is_a_hosts(members: &Members<'_>) -> bool {
    let names_an_order = text(members, "externalDocumentNumber").is_some_and(|name| is_order(&name));
    names_an_order && is_posted(&text(members, "status").unwrap_or_default())
}

/// Takes what is new of one item of a list.
fn take(
    item: &RawValue,
    place: &str,
    source: Source,
    days: &Days,
    cursor: &mut Cursor,
    found: &mut Found,
) -> Result<(), Failure> {
    let Some(members) = members(item) else {
        found.problems.push(Problem::new("malformed-document", "found no object that has each member once", place));
        return Ok(());
    };
    let (id, modified) = (text(&members, "id"), text(&members, "lastModifiedDateTime"));
    let at = modified.as_deref().and_then(moment::parse);
    let (Some(id), Some(modified), Some(at)) = (id, modified, at) else {
        let message = "found no `id` or no time in `lastModifiedDateTime`; expected both";
        found.problems.push(Problem::new("document-unnamed", message, place));
        return Ok(());
    };
    if found.high.is_some_and(|high| at < high) {
        return Err(Failure::permanent(format!(
            "the ERP lists {} in another order than by lastModifiedDateTime, as was asked",
            source.documents
        )));
    }
    found.high = Some(at);
    if !is_a_hosts(&members) || cursor.tell(seen(&id, &modified), at).is_some() {
        return Ok(());
    }
    match document(&members, place, source, days, &[]) {
        Ok(document) => found.documents.push(document),
        Err(problem) => found.problems.push(*problem),
    }
    Ok(())
}

/// What a cursor remembers of a document.
fn seen(id: &str, modified: &str) -> String {
    format!("{id} {modified}")
}

/// What is told of a posted document, with members more where a list says how it is now.
fn document(
    members: &Members<'_>,
    place: &str,
    source: Source,
    days: &Days,
    more: &[&str],
) -> Result<Document, Box<Problem>> {
    let wrong =
        |code: &str, message: String, member: &str| Box::new(Problem::new(code, message, format!("{place}.{member}")));
    let number = text(members, "number").filter(|number| !number.is_empty() && number.len() <= KEY_BYTES_MAX);
    let key = number.ok_or_else(|| {
        wrong("number-missing", format!("found no number; expected 1 to {KEY_BYTES_MAX} bytes"), "number")
    })?;
    let next = format!("{}@odata.nextLink", source.lines);
    if members.contains_key(next.as_str()) {
        let message = "found lines that go on on another page; expected all of them: see to it in the ERP".to_owned();
        return Err(wrong("too-many-lines", message, source.lines));
    }
    let lines: Option<Vec<&RawValue>> =
        members.get(source.lines).and_then(|lines| serde_json::from_str(lines.get()).ok());
    let lines =
        lines.ok_or_else(|| wrong("lines-missing", "found no list of lines; expected one".to_owned(), source.lines))?;
    let mut told = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        let member = format!("{}[{index}]", source.lines);
        let line = self::members(line)
            .ok_or_else(|| wrong("malformed-line", "found no object that has each member once".to_owned(), &member))?;
        told.push(object(&picked(&line, &LINE)));
    }
    let mut head = picked(members, &HEAD);
    let day = text(members, CORRECTS).and_then(|number| days.get(&number)).and_then(Option::as_ref);
    head.extend(day.map(|day| format!("\"invoicePostingDate\":{}", serde_json::Value::from(day.as_str()))));
    head.extend(picked(members, more));
    head.push(format!("\"lines\":[{}]", told.join(",")));
    let position = Position { offset_bytes: None, segment: None, path: place.to_owned() };
    let (kind, partner) = (source.kind.to_owned(), String::new());
    Ok(Document { key, partner, kind, position, envelope: None, body: object(&head).into_bytes() })
}

/// Members as they were written, in an order of their own.
fn picked(members: &Members<'_>, names: &[&str]) -> Vec<String> {
    let there = names.iter().filter_map(|name| Some((name, members.get(name)?)));
    there.map(|(name, value)| format!("\"{name}\":{}", value.get())).collect()
}

fn object(members: &[String]) -> String {
    format!("{{{}}}", members.join(","))
}

/// The members of an object, none of which is there twice.
fn members(item: &RawValue) -> Option<Members<'_>> {
    serde_json::from_str::<Once<'_>>(item.get()).ok().map(|once| once.0)
}

fn text(members: &Members<'_>, name: &str) -> Option<String> {
    members.get(name).and_then(|value| serde_json::from_str(value.get()).ok())
}

/// Whether a document names an order as the host's sales orders do: its id without hyphens.
fn is_order(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where the first poll begins, which nobody guesses: before it are invoices that were dealt with
/// otherwise.
fn since(settings: &[Setting]) -> Result<InstantMs, Failure> {
    setting(settings, "poll-since").and_then(moment::parse).ok_or_else(|| {
        Failure::permanent(
            "setting `poll-since` is missing or no time; expected from when on documents are fetched, such as 2026-03-02T00:00:00Z",
        )
    })
}

/// What a cursor remembers of a document, as [`seen`] wrote it.
fn entry(line: &str) -> Option<(String, InstantMs)> {
    let (_, modified) = line.split_once(' ')?;
    Some((line.to_owned(), moment::parse(modified)?))
}

fn too_many_at_once() -> Failure {
    Failure::permanent(
        "the ERP changed more documents in one millisecond than a cursor remembers, so nothing is known behind them; \
         set poll-since to after that, and see to those documents there",
    )
}

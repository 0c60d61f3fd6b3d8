//! Asking a system for all that it has, page by page.
//!
//! The danger is a list that is not whole: what is missing in it would look as if the system
//! did not have it. So whatever goes wrong on the way, a page that fails, a list without an end, leaves
//! no list at all, and says why. A row that has a name and that nobody can read is judged by itself; one
//! without a name leaves no list either, for nobody knows which one is missing then, and nor does a list
//! of which no row can be read and that is longer than what one run files: there it is the reader that fails,
//! and people hear that once. A system that asks to come later is asked for the same page again, as late as
//! it says and within a bound: what it listed so far stands.

use std::collections::BTreeSet;

use portreeve_model::document::{MappingRequest, PollRequest, Polled, Setting};
use portreeve_model::{Digest, Document, Event, Failure, Instant, OrderId, SenderId};
use portreeve_registry::Installed;
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, Crossed};
use portreeve_store::StoreError;
use portreeve_store::contract::OrderName;

use super::aside::{Aside, Stranger};
use super::configured::{LIST_SINCE, Reconciliation, Source};
use super::difference::Terms;
use super::reading;
use super::row::{Rows, Unusable};
use crate::accept::call_error_code;
use crate::plugins::{Absent, Active};
use crate::{Pipeline, leaf, route};

/// Pages of one list. The attack is a connector that returns another cursor and nothing for ever.
const PAGES_MAX: u32 = 400;

/// How late in a list another page may begin. The attack is a source that answers each page at the last
/// moment: runs are one after the other, and whoever asked for one waits for it.
const LIST_MS_MAX: i64 = 4 * Instant::MINUTE_MS;

/// How long one list waits in all for a system that asks to come later: it is asked for a page more
/// often than for anything else, and half a list is none. The attack is one that says so for ever.
const WAIT_MS_MAX: i64 = 2 * Instant::MINUTE_MS;

/// How late in a list anything of it is asked for: a page that began in time and a system that asks to
/// come later. What is under way by then has the time of one call of its connector.
pub const ASKED_MS_MAX: i64 = LIST_MS_MAX + WAIT_MS_MAX;

/// How often a page is asked for again.
const WAITS_MAX: u32 = 3;

/// A whole list.
#[derive(Debug)]
pub(super) struct Listed {
    /// What the system is called.
    system: String,
    pub(super) rows: Rows,
    /// How often the connector was asked.
    pub(super) pages: u32,
    /// The components that listed and read it.
    pub(super) connector: Option<Digest>,
    pub(super) transformer: Option<Digest>,
}

impl Listed {
    /// What the host knows by itself.
    pub(super) fn own(system: &str, rows: Rows) -> Self {
        Self { system: system.to_owned(), rows, pages: 0, connector: None, transformer: None }
    }

    /// What is left aside of it.
    pub(super) fn left_aside(&self, terms: Terms<'_>) -> Aside {
        self.rows.left_aside(&self.system, terms)
    }

    /// There is a list, and it cannot be compared.
    pub(super) fn unusable(&self, unusable: &Unusable) -> Unheard {
        Unheard { system: self.system.clone(), code: unusable.code().to_owned(), why: unusable.to_string() }
    }
}

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheard {
    /// What the system is called.
    pub system: String,
    /// A stable word.
    pub code: String,
    /// One sentence.
    pub why: String,
}

/// Who is asked, and for what.
pub(super) struct Asked<'a> {
    /// For which comparison.
    pub(super) reconciliation: &'a Reconciliation,
    /// By what the way there is known.
    pub(super) way: &'a str,
    pub(super) source: &'a Source,
    /// From when on, where all of it would be too much.
    pub(super) since: Option<Instant>,
}

impl Pipeline {
    /// Asks a source for all of its rows.
    pub(super) async fn list(&self, rows: Rows, asked: Asked<'_>) -> Result<Listed, Unheard> {
        let Asked { way, source, reconciliation, .. } = asked;
        let unheard = |code: &str, why: String| Unheard { system: source.system.clone(), code: code.to_owned(), why };
        let active = self.plugins.now();
        let plugins = self.plugin(&active, &source.connector, Call::Poll, Cause::Target(way)).and_then(|connector| {
            let transformer = self.plugin(&active, &source.transformer, Call::ToCanonical, Cause::Target(way))?;
            Ok((connector, transformer))
        });
        let (connector, transformer) = plugins.map_err(|absent| match absent {
            Absent::NotInstalled => unheard("no-plugin", "one of its plugins is not installed; add it".to_owned()),
            Absent::Stopped(stopped) => unheard(stopped.code(), stopped.to_string()),
        })?;

        let began_at = self.clock.now();
        let (mut rows, mut pages, mut cursor, mut seen) = (rows, 0_u32, None, BTreeSet::new());
        let mut patience = Patience { ms: WAIT_MS_MAX, until: began_at.plus_ms(ASKED_MS_MAX) };
        loop {
            if pages >= PAGES_MAX {
                let why = format!(
                    "found more than {PAGES_MAX} pages, expected an end; look at what `{}` lists, or let its pages be larger",
                    source.connector
                );
                return Err(unheard("list-without-end", why));
            }
            if self.clock.now() > began_at.plus_ms(LIST_MS_MAX) {
                let why = format!(
                    "found its list unfinished after {} minutes, expected it whole by then; let its pages be larger",
                    LIST_MS_MAX / Instant::MINUTE_MS
                );
                return Err(unheard("list-too-slow", why));
            }
            pages = pages.saturating_add(1);
            let page = self.patient_page(&active, connector, &asked, cursor, &mut patience).await;
            let Polled { documents, problems, cursor: next } = page.map_err(|why| why.unheard(&source.system))?;
            if let Some(problem) = problems.first() {
                let why = format!("page {pages} of its list cannot be read: {} ({})", problem.message, problem.code);
                return Err(unheard("unreadable", why));
            }
            for document in documents {
                let events = self.events(&active, transformer, way, source, document).await;
                for event in events.map_err(|why| why.unheard(&source.system))? {
                    let whose = self.order_of(reconciliation, &rows, &event).await;
                    let taken = match whose.map_err(|error| unheard("store", error.to_string()))? {
                        Whose::Order(order) => rows.add_about(&event, order),
                        Whose::Stranger(stranger) => rows.add_stranger(&event, stranger),
                        Whose::Nobodys => rows.add_nobodys(&event),
                        Whose::Several(why) => rows.add_unclear(&event, why),
                    };
                    taken.map_err(|unusable| unheard(unusable.code(), unusable.to_string()))?;
                }
            }
            // A source that says the same place twice goes round in a circle.
            match next {
                None => break,
                Some(next) if !seen.insert(Digest::of(&next)) => {
                    let why = "found a place in its list that it had named before, expected one behind it; look at what it lists".to_owned();
                    return Err(unheard("list-in-a-circle", why));
                }
                Some(next) => cursor = Some(next),
            }
        }
        // One cause, most likely: told row by row it would be as many exceptions in each run.
        let most = reconciliation.exceptions_max;
        if let Some((count, first)) = rows.nothing_readable(usize::try_from(most).unwrap_or(usize::MAX)) {
            let why = format!("none of its {count} rows can be read, more than the {most} that one run files: {first}");
            return Err(unheard("unreadable", why));
        }
        let system = source.system.clone();
        Ok(Listed { system, rows, pages, connector: Some(connector.digest), transformer: Some(transformer.digest) })
    }

    /// Which order of this host a row is about: by the host's id, or by a name of those that the channels mean by
    /// which the host hears the same. A number may look like an id, so what is none of an order's is tried as a
    /// number, and what is both is nobody's. Of a list of two other systems nobody is asked about numbers.
    async fn order_of(&self, reconciliation: &Reconciliation, rows: &Rows, event: &Event) -> Result<Whose, StoreError> {
        let named = reading::order_named(event).filter(|(_, name)| !name.is_empty());
        let Some((event, named)) = named else { return Ok(Whose::Order(None)) };
        let id = OrderId::parse(&named).ok();
        if !rows.is_of_this_host() {
            let is_strange = id.is_some() && self.is_strange(rows, id).await?;
            return Ok(if is_strange { Whose::Nobodys } else { Whose::Order(None) });
        }
        let by = self.routes.orders_by(reconciliation, &event);
        let names: BTreeSet<OrderName> = by.map(|by| by.name(&named)).collect();
        if names.is_empty() {
            let is_strange = self.is_strange(rows, id).await?;
            return Ok(if is_strange { Whose::Stranger(Stranger::Unresolved(named)) } else { Whose::Order(None) });
        }
        let found = self.store.orders_named(names.into_iter().collect()).await?;
        let found: BTreeSet<OrderId> = found.into_iter().flatten().collect();
        let Some(first) = found.first().copied() else {
            let is_strange = self.is_strange(rows, id).await?;
            return Ok(if is_strange { Whose::Stranger(Stranger::Others(named)) } else { Whose::Order(None) });
        };
        let named = named.escape_debug();
        if found.len() > 1 {
            return Ok(Whose::Several(format!(
                "found the order `{named}` named, and more than one by it, expected one"
            )));
        }
        if let Some(id) = id.filter(|id| *id != first)
            && self.store.order_origin(id).await?.is_some()
        {
            return Ok(Whose::Several(format!(
                "found the order `{named}` named, which is this host's id of one order and what others call the order `{first}`, expected one that is named"
            )));
        }
        Ok(Whose::Order(Some(first)))
    }

    /// Whether what a row names is no id of this host's. What looks like one and is no order's may be that of an
    /// order that was lost, which is missing here; of a payment or an invoice, which is known by a number of its
    /// own, it is more likely somebody else's number, such as that of a cart.
    async fn is_strange(&self, rows: &Rows, id: Option<OrderId>) -> Result<bool, StoreError> {
        let Some(id) = id else { return Ok(true) };
        Ok(rows.compares_orders() && self.store.order_origin(id).await?.is_none())
    }

    /// A page, where the system has it before the patience with it is at an end.
    async fn patient_page(
        &self,
        active: &Active,
        connector: &Installed,
        asked: &Asked<'_>,
        cursor: Option<Vec<u8>>,
        patience: &mut Patience,
    ) -> Result<Polled, NoPage> {
        for _ in 0..WAITS_MAX {
            let page = self.page(active, connector, asked, cursor.clone()).await;
            let Err(NoPage::NotNow(ms)) = page else { return page };
            let wait_ms = i64::from(ms);
            if wait_ms > patience.ms || self.clock.now().plus_ms(wait_ms) > patience.until {
                return page;
            }
            patience.ms = patience.ms.saturating_sub(wait_ms);
            self.clock.pass(ms).await;
        }
        self.page(active, connector, asked, cursor).await
    }

    async fn page(
        &self,
        active: &Active,
        connector: &Installed,
        asked: &Asked<'_>,
        cursor: Option<Vec<u8>>,
    ) -> Result<Polled, NoPage> {
        let Asked { way, source, since, .. } = *asked;
        let mut context = active.context(self.clock.now());
        context.lookup = self.tables.of(&self.store, &connector.manifest.imports.lookup).await;
        context.egress = self.outbound.to(way);
        let mut settings = route::settings(&source.settings);
        settings.extend(since.map(|since| Setting { name: LIST_SINCE.to_owned(), value: since.to_string() }));
        let request = PollRequest { cursor, now: self.clock.now(), settings };
        let polling = connector.plugin.poll(&context, &request);
        let crossed = self.call(connector, Call::Poll, Cause::Target(way), polling).await;
        outcome(crossed.map_err(|stopped| NoPage::Never(stopped.code().to_owned(), stopped.to_string()))?)
    }

    async fn events(
        &self,
        active: &Active,
        transformer: &Installed,
        way: &str,
        source: &Source,
        document: Document,
    ) -> Result<Vec<Event>, NoPage> {
        let now = self.clock.now();
        let mut context = active.context(now);
        context.lookup = self.tables.of(&self.store, &transformer.manifest.imports.lookup).await;
        let request = MappingRequest {
            kind: document.kind,
            body: document.body,
            received_at: now,
            sender: SenderId::authenticated(way),
            settings: route::settings(&source.settings),
        };
        let mapping = transformer.plugin.to_canonical(&context, &request);
        let crossed = self.call(transformer, Call::ToCanonical, Cause::Target(way), mapping).await;
        outcome(crossed.map_err(|stopped| NoPage::Never(stopped.code().to_owned(), stopped.to_string()))?)
    }
}

/// How long a list still waits for a system that asks to come later, and until when at all.
struct Patience {
    ms: i64,
    until: Instant,
}

/// Which order of this host a row is about.
enum Whose {
    /// This one; none where the row itself says which, or nobody is asked.
    Order(Option<OrderId>),
    /// None, as far as anybody can tell.
    Stranger(Stranger),
    /// What it names looks like the host's id of an order, and is none.
    Nobodys,
    /// It names several, as a sentence says.
    Several(String),
}

/// Why there is no page, or nobody can read it.
enum NoPage {
    /// The system asks to come so many milliseconds later.
    NotNow(u32),
    /// A stable word and one sentence.
    Never(String, String),
}

impl NoPage {
    fn unheard(self, system: &str) -> Unheard {
        let (code, why) = match self {
            Self::NotNow(_) => ("not-now".to_owned(), "it does not answer now; the next run asks again".to_owned()),
            Self::Never(code, why) => (code, why),
        };
        Unheard { system: system.to_owned(), code, why }
    }
}

fn outcome<T>(crossed: Crossed<Result<T, Failure>>) -> Result<T, NoPage> {
    match crossed.outcome {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(failure)) => {
            // The host's own words: the code goes on record.
            let code = match &failure {
                Failure::Invalid(_) => "unreadable",
                Failure::Permanent(_) => "permanent",
                Failure::UnknownOutcome(_) => "unknown-outcome",
                Failure::Retry(ms) => return Err(NoPage::NotNow(*ms)),
            };
            Err(NoPage::Never(code.to_owned(), leaf::failure_words(&failure).1))
        }
        Err(error) => Err(NoPage::Never(call_error_code(&error), error.to_string())),
    }
}

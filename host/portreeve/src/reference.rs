//! Reference tables: CSV with a typed header, all or nothing; from a file, and on a running
//! host from an operator.
//!
//! ```text
//! key,name:text,blocked:flag,since:day,list-price:number,available:whole
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use portreeve_api::reference::{Loaded, NotLoaded, Tables};
use portreeve_model::reference::{CLOCKS_DIFFER_MS, CREDIT_TABLE, Field, FieldValue, Row};
use portreeve_model::value::Decimal;
use portreeve_model::{Date, Digest, Instant, PluginName};
use portreeve_pipeline::Pipeline;
use portreeve_pipeline::decide::credit_facts;
use portreeve_record::canonical_digest;
use portreeve_registry::file::read_text;
use portreeve_store::StoreError;
use tokio::sync::Mutex;

use crate::host;
use crate::output::sentence;

/// Rows of one table. A table is read as a whole for every batch of orders.
const ROWS_MAX: usize = 200_000;

/// Bytes of a file: so many rows of a kilobyte each, and some more.
const REFERENCE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Its columns, each with its type; nothing is right about any account without them.
const CREDIT_COLUMNS: [(&str, Kind); 8] = [
    ("currency", Kind::Text),
    ("limit", Kind::Number),
    ("receivables", Kind::Number),
    ("shipped-not-invoiced", Kind::Number),
    ("released-not-shipped", Kind::Number),
    ("unapplied-cash", Kind::Number),
    ("overdue-days", Kind::Whole),
    ("as-of", Kind::Text),
];

/// Slips of a table that are told; the others are counted.
const PROBLEMS_TOLD_MAX: usize = 20;

/// What a table is to hold.
#[derive(Debug)]
pub struct Content {
    /// By key.
    pub(crate) rows: Vec<(String, Row)>,
    /// Digest of the rows.
    pub(crate) digest: Digest,
}

/// Reads a file.
///
/// # Errors
/// At the first cell that is not what its column says, with line and column.
pub fn read(table: &str, path: &Path) -> anyhow::Result<Content> {
    let text = read_text(path, REFERENCE_BYTES_MAX)?;
    parse(table, &text).with_context(|| format!("`{}` was not loaded", path.display()))
}

/// Reads the text of a file.
///
/// # Errors
/// As [`read`].
pub fn parse(table: &str, text: &str) -> anyhow::Result<Content> {
    let Parsed { columns, mut rows } = parse_rows(text)?;
    if table == CREDIT_TABLE {
        check_credit(&columns, &rows)?;
    }
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let digest = canonical_digest(&rows)?;
    Ok(Content { rows, digest })
}

/// Check: every row says what an account owes and may owe. A file that was cut off, or a column
/// that is spelled otherwise, would hold every order, or let it pass as one without an account.
fn check_credit(columns: &[(String, Kind)], rows: &[(String, Row)]) -> anyhow::Result<()> {
    if rows.is_empty() {
        bail!("found no account, expected one row for each; a table without any would let every order pass");
    }
    // What is wrong with a column is wrong with it for every account, and told once.
    let unlike =
        CREDIT_COLUMNS.iter().filter_map(|(name, kind)| match columns.iter().find(|(column, _)| column == name) {
            None => Some((*name, format!("there is no column `{name}`; expected `{name}:{}`", kind.as_str()))),
            Some((_, found)) if !found.serves_as(*kind) => {
                Some((*name, format!("the column `{name}:{}` is to be `{name}:{}`", found.as_str(), kind.as_str())))
            }
            Some(_) => None,
        });
    let unlike: BTreeMap<&str, String> = unlike.collect();
    let of_accounts = rows.iter().flat_map(|(key, row)| {
        let wrong = credit_facts(row).err().unwrap_or_default().into_iter();
        wrong.map(move |(column, expected)| (column, format!("account `{key}` needs `{column}`: {expected}")))
    });
    let of_accounts = of_accounts.filter(|(column, _)| !unlike.contains_key(column)).map(|(_, told)| told);
    let wrong: Vec<String> = unlike.values().cloned().chain(of_accounts).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let told = wrong.iter().take(PROBLEMS_TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
    let others = wrong.len().saturating_sub(PROBLEMS_TOLD_MAX);
    let others = if others > 0 { format!("\nand {others} more") } else { String::new() };
    bail!("{told}{others}")
}

/// Check: plugins could ask for a table of this name, and the log could tell it.
///
/// # Errors
/// When it has another form than plugins' names.
pub fn check_name(table: &str) -> anyhow::Result<()> {
    PluginName::parse(table).map(drop).context("the table cannot be called so")
}

/// That nobody reads a table, and which ones are read; none where somebody does. It is no
/// refusal: a table may be there before the plugin that asks for it.
#[must_use]
pub fn unread(table: &str, read: &BTreeSet<String>) -> Option<String> {
    if read.contains(table) {
        return None;
    }
    // A third of the letters may be wrong: in shorter names fewer, or `unit` would be `item`.
    let distance = |known: &&String| strsim::osa_distance(table, known);
    let nearest = read.iter().min_by_key(distance).filter(|known| distance(known) <= (known.len() / 3).max(1));
    let meant = nearest.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
    let read: Vec<String> = read.iter().map(|known| format!("`{known}`")).collect();
    Some(format!("no rule and no plugin reads a table `{table}` (read are {}){meant}", read.join(", ")))
}

/// That finance's figures come from ahead of the clock, and what that does; none where they do
/// not. They are loaded all the same: which of the two clocks is wrong nobody here knows.
#[must_use]
pub(crate) fn ahead(table: &str, content: &Content, now: Instant) -> Option<String> {
    let as_of = content.rows.iter().filter_map(|(key, row)| Some((row.as_of()?, key))).max();
    let (as_of, account) = as_of.filter(|_| table == CREDIT_TABLE)?;
    (as_of > now.plus_ms(CLOCKS_DIFFER_MS)).then(|| {
        format!(
            "account `{account}` has figures as of {as_of}, and it is {now} here: until then its orders are held as `credit-data-not-current`, and what was delivered since the figures before counts once more; expected figures of now or before, so set the clock right that is wrong, or load the table again"
        )
    })
}

/// The reference tables of a host that runs.
pub struct LiveTables {
    pipeline: Arc<Pipeline>,
    /// A load's leaf names the version after the one that it found.
    one_at_a_time: Mutex<()>,
}

impl LiveTables {
    /// Those that this road looks things up in.
    #[must_use]
    pub fn of(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline, one_at_a_time: Mutex::default() }
    }
}

#[async_trait]
impl Tables for LiveTables {
    async fn load(&self, table: &str, text: String, who: &str) -> Result<Loaded, NotLoaded> {
        let wrong = |error: anyhow::Error| NotLoaded::Wrong(sentence(&error));
        check_name(table).map_err(wrong)?;
        let _one = self.one_at_a_time.lock().await;
        let name = table.to_owned();
        // A large table takes seconds of CPU, which are not the runtime's.
        let parsed = tokio::task::spawn_blocking(move || parse(&name, &text)).await;
        let content = parsed.map_err(|error| NotLoaded::Internal(error.to_string()))?.map_err(wrong)?;
        let now = self.pipeline.clock.now();
        let loaded = host::load_reference(&self.pipeline.store, table, content, who, now).await;
        loaded.map_err(|error| match error.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(error) => NotLoaded::Internal(sentence(&error)),
        })
    }
}

/// What a text says.
struct Parsed {
    /// The columns after the key.
    columns: Vec<(String, Kind)>,
    /// In the order of the text.
    rows: Vec<(String, Row)>,
}

fn parse_rows(text: &str) -> anyhow::Result<Parsed> {
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        bail!(
            "the file is empty; expected `key` and the columns with their types in its first line, and the rows after it"
        );
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = columns(reader.headers().context("the header cannot be read")?)?;
    let mut rows: Vec<(String, Row)> = Vec::new();
    let mut keys = BTreeSet::new();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(text, error))?;
        let line = || line_of(text, record.position());
        let mut cells = record.iter();
        let key = cells.next().unwrap_or_default();
        if key.is_empty() {
            bail!("line {} has no key; expected one in the first column", line());
        }
        if !keys.insert(key.to_owned()) {
            bail!("line {} repeats the key `{key}`; expected each key once", line());
        }
        let mut fields = Vec::new();
        for ((name, kind), cell) in columns.iter().zip(cells) {
            // An empty cell means that the row does not have the value.
            if !cell.is_empty() {
                let value = kind.value(cell).with_context(|| format!("line {}, column `{name}`", line()))?;
                fields.push(Field { name: name.clone(), value });
            }
        }
        if rows.len() == ROWS_MAX {
            bail!("there are more than {ROWS_MAX} rows; split the table");
        }
        rows.push((key.to_owned(), Row(fields)));
    }
    Ok(Parsed { columns, rows })
}

fn unreadable(text: &str, error: csv::Error) -> anyhow::Error {
    let line = line_of(text, error.position());
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            anyhow::anyhow!("line {line} has {len} cell(s), expected {expected_len} as in the header")
        }
        _ => anyhow::Error::new(error).context(format!("line {line} cannot be read")),
    }
}

/// The line that a record begins on, from 1. The reader does not count lines that it skips.
fn line_of(text: &str, record: Option<&csv::Position>) -> usize {
    let start = record.and_then(|place| usize::try_from(place.byte()).ok()).unwrap_or_default();
    let skipped = text.bytes().skip(start).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    text.bytes().take(start.saturating_add(skipped)).filter(|byte| *byte == b'\n').count().saturating_add(1)
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Whole,
    Number,
    Day,
    Flag,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Text, Self::Whole, Self::Number, Self::Day, Self::Flag];

    /// Whether its values are such: a whole number is a number.
    fn serves_as(self, kind: Self) -> bool {
        self == kind || (self, kind) == (Self::Whole, Self::Number)
    }

    /// The word in a header.
    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Whole => "whole",
            Self::Number => "number",
            Self::Day => "day",
            Self::Flag => "flag",
        }
    }

    fn value(self, cell: &str) -> anyhow::Result<FieldValue> {
        Ok(match self {
            Self::Text => FieldValue::Text(cell.to_owned()),
            Self::Whole => {
                FieldValue::Whole(cell.parse().with_context(|| format!("found `{cell}`, expected a whole number"))?)
            }
            Self::Number => FieldValue::Number(Decimal::parse(cell)?),
            Self::Day => FieldValue::Day(Date::parse(cell)?),
            Self::Flag => match cell {
                "true" => FieldValue::Flag(true),
                "false" => FieldValue::Flag(false),
                _ => bail!("found `{cell}`, expected `true` or `false`"),
            },
        })
    }
}

fn columns(header: &csv::StringRecord) -> anyhow::Result<Vec<(String, Kind)>> {
    let mut cells = header.iter();
    match cells.next() {
        Some("key") => {}
        // As spreadsheets of many countries write it.
        Some(other) if other.contains(';') => {
            bail!("the columns are separated by semicolons, expected commas: export the file as CSV with commas")
        }
        other => bail!("the first column is `{}`, expected `key`", other.unwrap_or_default()),
    }
    let mut names = BTreeSet::new();
    cells
        .map(|cell| {
            let (name, kind) =
                cell.split_once(':').with_context(|| format!("column `{cell}` has no type; write `{cell}:text`"))?;
            let known = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
            let kind = known.with_context(|| {
                format!("column `{name}` has the type `{kind}`, expected text, whole, number, day or flag")
            })?;
            if !names.insert(name) {
                bail!("the column `{name}` is there twice; expected each name once");
            }
            Ok((name.to_owned(), kind))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_typed_file_becomes_typed_rows() {
        let rows = parse_rows(
            "key,name:text,price:number,blocked:flag,since:day,n:whole\nA-1,\"Bolt, M6\",1.179,false,2024-02-29,7\n",
        )
        .unwrap()
        .rows;
        let (key, row) = rows.first().unwrap();
        assert_eq!(key, "A-1");
        assert_eq!(row.text("name"), Some("Bolt, M6"));
        assert_eq!(row.number("price"), Some(Decimal { units: 1179, scale: 3 }));
        assert_eq!(row.flag("blocked"), Some(false));
    }

    #[test]
    fn a_file_that_is_none_or_larger_than_a_table_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| format!("{:#}", read("item", path).unwrap_err());
        assert!(refused(folder.path()).contains("it is a folder; expected a regular file"));
        let path = folder.path().join("item.csv");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(refused(&path).contains("it has 1099511627776 bytes; expected at most 268435456"));
    }

    #[test]
    fn a_wrong_cell_is_refused_with_its_place() {
        for (text, what) in [
            ("sku,a:text\n", "expected `key`"),
            ("", "the file is empty; expected `key`"),
            ("\u{feff}\r\n \n", "the file is empty"),
            ("key;a:text;b:number\r\nx;y;1,5\r\n", "separated by semicolons, expected commas"),
            ("\"key;a:text\",b:number\n", "separated by semicolons"),
            ("key,a\n", "has no type"),
            ("key,a:text,a:whole\n", "column `a` is there twice"),
            ("key,a:float\n", "expected text, whole"),
            ("key,a:whole\nx,1.5\n", "line 2, column `a`"),
            ("key,a:day\nx,2023-02-29\n", "line 2, column `a`"),
            ("key,a:flag\nx,yes\n", "line 2, column `a`"),
            ("key,a:text\nx,1\nx,2\n", "repeats the key"),
            ("key,a:text\n,1\n", "has no key"),
            ("key,a:text\nx\n", "line 2 has 1 cell(s), expected 2"),
            ("\u{feff}key,a:whole\r\n\r\nx,1\r\n\r\n\r\ny,a\r\n", "line 6, column `a`"),
            ("key,a:text,b:flag\nx,\"two\nlines\",true\ny,,maybe\n", "line 4, column `b`"),
        ] {
            let error = format!("{:#}", parse("item", text).unwrap_err());
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_table_that_nobody_reads_is_told_with_the_name_that_is_near() {
        let read: BTreeSet<String> = ["credit", "item", "unit"].map(str::to_owned).into();
        assert_eq!(unread("credit", &read), None);
        let told = unread("kredit", &read).unwrap();
        assert_eq!(
            told,
            "no rule and no plugin reads a table `kredit` (read are `credit`, `item`, `unit`); did you mean `credit`?"
        );
        assert!(unread("itme", &read).unwrap().contains("`item`?"));
        for far in ["spare", "unti-l", "x"] {
            assert!(unread(far, &read).unwrap().ends_with("`unit`)"), "{far}");
        }
    }

    #[test]
    fn a_file_of_accounts_tells_everything_that_is_wrong_with_any_of_them() {
        const HEADER: &str = "key,currency:text,limit:number,receivables:number,shipped-not-invoiced:number,released-not-shipped:number,unapplied-cash:number,overdue-days:whole,as-of:text\n";
        let right = "A-1,USD,10.00,1,2,3,0,0,2026-03-02T07:30:00Z\n";
        assert_eq!(parse("credit", &format!("{HEADER}{right}")).unwrap().rows.len(), 1);
        let whole = HEADER.replace("receivables:number", "receivables:whole");
        assert_eq!(parse("credit", &format!("{whole}{right}")).unwrap().rows.len(), 1, "a whole number is a number");
        let refused = |text: &str| format!("{:#}", parse("credit", text).unwrap_err());
        assert!(refused(HEADER).contains("found no account"));
        let wrong =
            refused(&format!("{HEADER}{right}A-2,USD,10.005,1,2,3,0,,yesterday\nA-3,XXY,1,1,2,3,0,0,2026-03-02\n"));
        for told in [
            "account `A-2` needs `limit`",
            "account `A-2` needs `overdue-days`",
            "account `A-2` needs `as-of`: a time in RFC 3339",
            "account `A-3` needs `currency`",
            "account `A-3` needs `as-of`",
        ] {
            assert!(wrong.contains(told), "{told} in {wrong}");
        }
        assert!(!wrong.contains("A-1") && !wrong.contains("`A-3` needs `limit`"), "{wrong}");
        let without = HEADER.replace(",as-of:text", "").replace("limit:number", "limit:text");
        let rows: String = (0..100).map(|n| format!("A-{n},USD,1,1,2,3,0,\n")).collect();
        let wrong = refused(&format!("{without}{rows}"));
        assert_eq!(wrong.matches("as-of").count(), 2, "once, with what it is to be: {wrong}");
        assert!(wrong.contains("there is no column `as-of`; expected `as-of:text`"), "{wrong}");
        assert!(wrong.contains("the column `limit:text` is to be `limit:number`"), "{wrong}");
        assert!(wrong.contains("account `A-0` needs `overdue-days`") && !wrong.contains("needs `limit`"), "{wrong}");
        let many: String = (0..100).map(|n| format!("A-{n},USD,1,1,2,3,0,,2026-03-02T07:30:00Z\n")).collect();
        assert!(refused(&format!("{HEADER}{many}")).ends_with("and 80 more"));
    }
}

//! Reference files: CSV with a typed header, all or nothing.
//!
//! ```text
//! key,name:text,blocked:flag,since:day,list-price:number,credit-limit-minor:whole
//! ```

use std::path::Path;

use anyhow::{Context, bail};
use portreeve_model::Date;
use portreeve_model::reference::{Field, FieldValue, Row};
use portreeve_model::value::Decimal;
use portreeve_registry::file::read_text;

/// Rows of one table. A table is read as a whole for every batch of orders.
const ROWS_MAX: usize = 200_000;

/// Bytes of a file: so many rows of a kilobyte each, and some more.
const REFERENCE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Reads a file.
///
/// # Errors
/// At the first cell that is not what its column says, with line and column.
pub fn read(path: &Path) -> anyhow::Result<Vec<(String, Row)>> {
    let text = read_text(path, REFERENCE_BYTES_MAX)?;
    parse(&text).with_context(|| format!("`{}` was not loaded", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<(String, Row)>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = columns(reader.headers().context("the header cannot be read")?)?;
    let mut rows: Vec<(String, Row)> = Vec::new();
    let mut keys = std::collections::BTreeSet::new();
    for (record, line) in reader.records().zip(2_usize..) {
        let record = record.with_context(|| format!("line {line} cannot be read"))?;
        let mut cells = record.iter();
        let key = cells.next().unwrap_or_default();
        if key.is_empty() {
            bail!("line {line} has no key; expected one in the first column");
        }
        if !keys.insert(key.to_owned()) {
            bail!("line {line} repeats the key `{key}`; expected each key once");
        }
        let mut fields = Vec::new();
        for ((name, kind), cell) in columns.iter().zip(cells) {
            // An empty cell means that the row does not have the value.
            if !cell.is_empty() {
                let value = kind.value(cell).with_context(|| format!("line {line}, column `{name}`"))?;
                fields.push(Field { name: name.clone(), value });
            }
        }
        if rows.len() == ROWS_MAX {
            bail!("there are more than {ROWS_MAX} rows; split the table");
        }
        rows.push((key.to_owned(), Row(fields)));
    }
    Ok(rows)
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Whole,
    Number,
    Day,
    Flag,
}

impl Kind {
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
        other => bail!("the first column is `{}`, expected `key`", other.unwrap_or_default()),
    }
    cells
        .map(|cell| {
            let (name, kind) =
                cell.split_once(':').with_context(|| format!("column `{cell}` has no type; write `{cell}:text`"))?;
            let kind = match kind {
                "text" => Kind::Text,
                "whole" => Kind::Whole,
                "number" => Kind::Number,
                "day" => Kind::Day,
                "flag" => Kind::Flag,
                _ => bail!("column `{name}` has the type `{kind}`, expected text, whole, number, day or flag"),
            };
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
        let rows = parse(
            "key,name:text,price:number,blocked:flag,since:day,n:whole\nA-1,\"Bolt, M6\",1.179,false,2024-02-29,7\n",
        )
        .unwrap();
        let (key, row) = rows.first().unwrap();
        assert_eq!(key, "A-1");
        assert_eq!(row.text("name"), Some("Bolt, M6"));
        assert_eq!(row.number("price"), Some(Decimal { units: 1179, scale: 3 }));
        assert_eq!(row.flag("blocked"), Some(false));
    }

    #[test]
    fn a_file_that_is_none_or_larger_than_a_table_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| format!("{:#}", read(path).unwrap_err());
        assert!(refused(folder.path()).contains("it is a folder; expected a regular file"));
        let path = folder.path().join("item.csv");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(refused(&path).contains("it has 1099511627776 bytes; expected at most 268435456"));
    }

    #[test]
    fn a_wrong_cell_is_refused_with_its_place() {
        for (text, what) in [
            ("sku,a:text\n", "expected `key`"),
            ("key,a\n", "has no type"),
            ("key,a:float\n", "expected text, whole"),
            ("key,a:whole\nx,1.5\n", "line 2, column `a`"),
            ("key,a:day\nx,2023-02-29\n", "line 2, column `a`"),
            ("key,a:flag\nx,yes\n", "line 2, column `a`"),
            ("key,a:text\nx,1\nx,2\n", "repeats the key"),
            ("key,a:text\n,1\n", "has no key"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(what), "{error}");
        }
    }
}

//! What people and programs get to read: results on stdout, progress and errors
//! on stderr.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;

/// Where output goes.
pub struct Output {
    results: Box<dyn Write + Send>,
    /// Progress is redrawn in place on a terminal, and left out elsewhere but
    /// for its first line of each kind.
    terminal: bool,
    quiet: bool,
}

impl Output {
    /// To the process's own streams.
    #[must_use]
    pub fn standard() -> Self {
        Self { results: Box::new(std::io::stdout()), terminal: std::io::stderr().is_terminal(), quiet: false }
    }

    /// To nowhere: for tests that look at values instead of text.
    #[must_use]
    pub fn silent() -> Self {
        Self { results: Box::new(std::io::sink()), terminal: false, quiet: true }
    }

    /// A line of the result.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.clear_progress();
        writeln!(self.results, "{text}").context("the output is closed")
    }

    /// A value as one line of JSON.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value).context("the result has no JSON")?;
        self.line(&text)
    }

    /// Something that was done, on stderr.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn step(&self, text: &str) -> anyhow::Result<()> {
        self.clear_progress();
        if !self.quiet {
            writeln!(std::io::stderr(), "{text}").context("the error output is closed")?;
        }
        Ok(())
    }

    /// Something that is going on, on stderr.
    pub fn progress(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut stderr = std::io::stderr();
        // Progress is a courtesy: a closed stream must not stop the work.
        let written = if self.terminal { write!(stderr, "\r\x1b[K{text}") } else { writeln!(stderr, "{text}") };
        written.and_then(|()| stderr.flush()).unwrap_or_default();
    }

    fn clear_progress(&self) {
        if self.terminal && !self.quiet {
            // As above: a courtesy.
            write!(std::io::stderr(), "\r\x1b[K").unwrap_or_default();
        }
    }

    /// A table: each column as wide as its longest cell, at most as given.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn table<const N: usize>(
        &mut self,
        header: &[&str; N],
        rows: &[[String; N]],
        widths_max: &[usize; N],
    ) -> anyhow::Result<()> {
        let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
        for row in rows {
            for ((width, cell), max) in widths.iter_mut().zip(row).zip(widths_max) {
                *width = (*width).max(cell.chars().count().min(*max));
            }
        }
        let header = header.each_ref().map(|cell| (*cell).to_owned());
        for row in std::iter::once(&header).chain(rows) {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| fit(cell, *width)).collect();
            self.line(cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Cuts or pads to a width. Text from senders shows no control characters: a
/// terminal would obey them.
fn fit(cell: &str, width: usize) -> String {
    let clean: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= width {
        return format!("{clean:width$}");
    }
    let cut: String = clean.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}

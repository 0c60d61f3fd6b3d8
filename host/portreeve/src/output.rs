//! What people and programs get to read: results on stdout, progress and errors
//! on stderr.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;

/// Where output goes.
pub struct Output {
    results: Box<dyn Write + Send>,
    /// Progress is redrawn in place on a terminal, and takes lines elsewhere.
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

    /// To a writer of the caller's, without progress.
    #[must_use]
    pub fn to(results: Box<dyn Write + Send>) -> Self {
        Self { results, terminal: false, quiet: true }
    }

    /// A line of the result, or several. Numbers, names and details come from
    /// senders and targets: a terminal would obey their control characters, so no
    /// line has any.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.clear_progress();
        writeln!(self.results, "{}", tame(text)).context("the output is closed")
    }

    /// A value as one line of JSON.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value).context("the result has no JSON")?;
        // In JSON such characters stand in strings alone, where an escape says the same.
        let text = text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
            if obeyed(c) {
                line.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                line.push(c);
            }
            line
        });
        self.line(&text)
    }

    /// Something that was done, on stderr.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn step(&self, text: &str) -> anyhow::Result<()> {
        self.clear_progress();
        if !self.quiet {
            writeln!(std::io::stderr(), "{}", tame(text)).context("the error output is closed")?;
        }
        Ok(())
    }

    /// What the reader may not want, beside a result that says something else, on stderr.
    ///
    /// # Errors
    /// When the stream is closed.
    pub fn warning(&self, text: &str) -> anyhow::Result<()> {
        self.step(&format!("portreeve: warning: {text}"))
    }

    /// How far a count is, on stderr: every step on a terminal, where each takes the
    /// place of the last one, and elsewhere every so many and the last.
    pub fn count(&self, done: usize, of: usize, text: &str) {
        if self.terminal || is_milestone(done, of) {
            self.progress(text);
        }
    }

    /// Something that is going on, on stderr.
    pub fn progress(&self, text: &str) {
        if self.quiet {
            return;
        }
        let (mut stderr, text) = (std::io::stderr(), tame(text));
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

/// The text without what a terminal obeys: C0 and C1 controls, characters that turn the
/// direction of writing, and those that end a line without being a line end. Line ends
/// stay, for a text of several lines.
#[must_use]
pub fn tame(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// An error with its causes as one sentence, the outermost first. Many an error has its cause in its
/// own words: what was said so far is not said again.
#[must_use]
pub fn sentence(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Steps of a count between two lines in a log: 218 lines say no more than five.
const COUNT_EVERY: usize = 50;

fn is_milestone(done: usize, of: usize) -> bool {
    done == of || done.is_multiple_of(COUNT_EVERY)
}

fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Cuts or pads to a width; a cell is one line.
fn fit(cell: &str, width: usize) -> String {
    let clean: String = cell.chars().map(|c| if obeyed(c) { ' ' } else { c }).collect();
    if clean.chars().count() <= width {
        return format!("{clean:width$}");
    }
    let cut: String = clean.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the record cannot be read: {0}; run `audit verify`")]
    struct SaysItsCause(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("the record cannot be read")]
    struct LeavesItToItsCause(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct IsItsCause(#[from] LeavesItToItsCause);

    #[test]
    fn a_cause_is_said_once_whether_or_not_the_error_has_it_in_its_own_words() {
        let cut = || io::Error::other("the file is cut");
        let told = |error: anyhow::Error| sentence(&error.context("order PO-1").context("nothing was compared"));
        assert_eq!(
            told(SaysItsCause(cut()).into()),
            "nothing was compared: order PO-1: the record cannot be read: the file is cut; run `audit verify`"
        );
        let whole = "nothing was compared: order PO-1: the record cannot be read: the file is cut";
        assert_eq!(told(LeavesItToItsCause(cut()).into()), whole);
        assert_eq!(told(IsItsCause(LeavesItToItsCause(cut())).into()), whole);
        assert_eq!(sentence(&anyhow::anyhow!("alone")), "alone");
    }

    #[test]
    fn what_no_error_before_it_says_is_not_left_out() {
        let error = anyhow::anyhow!("the disk is full").context("a write failed: the disk is full").context("PO-1");
        assert_eq!(sentence(&error), "PO-1: a write failed: the disk is full");
        let error = anyhow::anyhow!("the disk is full").context("a write failed: no answer").context("PO-1");
        assert_eq!(sentence(&error), "PO-1: a write failed: no answer: the disk is full");
    }

    #[test]
    fn a_count_that_nobody_watches_takes_a_few_lines() {
        let lines: Vec<usize> = (1..=218).filter(|done| is_milestone(*done, 218)).collect();
        assert_eq!(lines, [50, 100, 150, 200, 218]);
    }

    #[test]
    fn a_senders_text_cannot_drive_the_terminal() {
        let number = "PO-1\u{1b}]0;owned\u{7}\u{9b}2J\r\u{202e}gnorw\u{61c}\u{2028}";
        for shown in [tame(number), fit(number, 60), fit(number, 8)] {
            assert!(!shown.chars().any(obeyed), "{shown:?}");
            assert!(shown.starts_with("PO-1"), "{shown:?}");
        }
        assert_eq!(tame("two\nlines, ümlaut"), "two\nlines, ümlaut");
    }
}

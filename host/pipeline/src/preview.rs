//! Preview: what a document of a kept input says, without deciding anything.
//!
//! It runs the first stage of deciding alone and writes nothing. Whoever brings a
//! file by hand sees what became of it at once; the decision follows in its turn, and only
//! that counts against a transformer that fails.

use portreeve_model::document::MappingRequest;
use portreeve_model::{Event, Failure};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, CallError};
use portreeve_store::contract::DocumentView;

use crate::accept::call_error_code;
use crate::decide::as_change;
use crate::plugins::{Absent, Stopped};
use crate::{Pipeline, leaf, route};

/// What a document says.
#[derive(Debug)]
pub enum Preview {
    /// These events.
    Says(Vec<Event>),
    /// Nothing: an earlier document of this business key has the same content.
    Repeats,
    /// Nothing that could be read.
    Unmapped(Unmapped),
}

/// Why a document says nothing.
#[derive(Debug)]
pub struct Unmapped {
    /// Stable code.
    pub code: String,
    /// Where in the document.
    pub place: String,
    /// One sentence.
    pub detail: String,
}

impl Pipeline {
    /// Reads a document as deciding will read it.
    pub async fn preview(&self, document: &DocumentView) -> Preview {
        // Deciding asks no transformer about it either.
        if document.first.as_ref().is_some_and(|first| first.same_content) {
            return Preview::Repeats;
        }
        match self.map(document).await {
            Ok(events) => Preview::Says(events),
            Err(unmapped) => Preview::Unmapped(unmapped),
        }
    }

    async fn map(&self, document: &DocumentView) -> Result<Vec<Event>, Unmapped> {
        let channel = self.routes.channel(&document.channel);
        let name = channel.and_then(|channel| channel.documents.get(&document.kind));
        let nobody = || {
            let detail = format!("no transformer reads `{}` on channel `{}`", document.kind, document.channel);
            Unmapped { code: "no-transformer".to_owned(), place: String::new(), detail }
        };
        let (channel, name) = channel.zip(name).ok_or_else(nobody)?;
        let active = self.plugins.now();
        let looking = Cause::Looking { channel: &document.channel, sender: Some(&document.sender) };
        let transformer = self.plugin(&active, name, Call::ToCanonical, looking).map_err(|absent| match absent {
            Absent::NotInstalled => nobody(),
            Absent::Stopped(stopped) => not_called(&stopped),
        })?;
        let mut context = active.context(document.received_at);
        context.lookup = self.tables.of(&self.store, &transformer.manifest.imports.lookup).await;
        let request = MappingRequest {
            kind: document.kind.clone(),
            body: document.body.clone(),
            received_at: document.received_at,
            sender: document.sender.clone(),
            settings: route::settings(&channel.settings),
        };
        let reading = transformer.plugin.to_canonical(&context, &request);
        let crossed = self.call(transformer, Call::ToCanonical, looking, reading).await;
        let crossed = crossed.map_err(|stopped| not_called(&stopped))?;
        let changes = document.first.is_some();
        let events = crossed
            .outcome
            .map_err(|error: CallError| Unmapped {
                code: call_error_code(&error),
                place: String::new(),
                detail: error.to_string(),
            })?
            .map_err(|failure| unmapped(&failure))?;
        Ok(events.into_iter().map(|event| as_change(event, changes)).collect())
    }
}

fn not_called(stopped: &Stopped) -> Unmapped {
    Unmapped { code: stopped.code().to_owned(), place: String::new(), detail: stopped.to_string() }
}

fn unmapped(failure: &Failure) -> Unmapped {
    if let Failure::Invalid(problems) = failure
        && let Some(first) = problems.first()
    {
        return Unmapped {
            code: first.code.clone(),
            place: first.position.path.clone(),
            detail: first.message.clone(),
        };
    }
    let (code, detail) = leaf::failure_words(failure);
    Unmapped { code, place: String::new(), detail }
}

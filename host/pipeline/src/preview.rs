//! Preview: what the documents of a kept input say, without deciding anything.
//!
//! It runs the first stage of deciding alone and writes nothing. Whoever brings a
//! file by hand sees what became of it at once; the decision follows in its turn.

use portreeve_model::document::MappingRequest;
use portreeve_model::{Event, Failure};
use portreeve_sandbox::CallError;
use portreeve_store::StoreError;
use portreeve_store::contract::{DocumentView, InputId};

use crate::accept::call_error_code;
use crate::capability::Tables;
use crate::decide::as_change;
use crate::{Pipeline, leaf, route};

/// Documents of one input that are shown.
const DOCUMENTS_MAX: u32 = 1_000;

/// A document and what it says.
#[derive(Debug)]
pub struct Preview {
    /// The document.
    pub document: DocumentView,
    /// Its events, or why it has none.
    pub outcome: Result<Vec<Event>, Unmapped>,
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
    /// Maps the documents of an input.
    ///
    /// # Errors
    /// When the store cannot be read; a document that cannot be mapped is a result.
    pub async fn preview(&self, input: InputId) -> Result<Vec<Preview>, StoreError> {
        let mut previews = Vec::new();
        for document in self.store.input_documents(input, DOCUMENTS_MAX).await? {
            let outcome = self.map(&document).await;
            previews.push(Preview { document, outcome });
        }
        Ok(previews)
    }

    async fn map(&self, document: &DocumentView) -> Result<Vec<Event>, Unmapped> {
        let channel = self.routes.channel(&document.channel);
        let name = channel.and_then(|channel| channel.documents.get(&document.kind));
        let Some((channel, transformer)) = channel.zip(name.and_then(|name| self.plugin(name))) else {
            let detail = format!("no transformer reads `{}` on channel `{}`", document.kind, document.channel);
            return Err(Unmapped { code: "no-transformer".to_owned(), place: String::new(), detail });
        };
        let mut context = self.context(document.received_at);
        context.lookup = Tables::of(&self.store, &transformer.manifest.imports.lookup).await;
        let request = MappingRequest {
            kind: document.kind.clone(),
            body: document.body.clone(),
            received_at: document.received_at,
            sender: document.sender.clone(),
            settings: route::settings(&channel.settings),
        };
        let crossed = self.metrics.called(transformer.plugin.to_canonical(&context, &request).await);
        let changes = document.first.as_ref().is_some_and(|first| !first.same_content);
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

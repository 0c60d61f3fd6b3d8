//! Challenges: a sender's system asks, before it has credentials, whether an
//! address is the right one. The connector answers; nothing is kept.
//!
//! Anybody may ask, so the connector gets nothing but the question: no tables, no
//! numbers, no body. An answer that claims documents is none. Nor does it count against
//! the connector, whatever becomes of it: strangers could bring it into quarantine.

use portreeve_model::document::{Header, Inbound};
use portreeve_model::{ChannelId, Reply, SenderId};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::Call;

use crate::{Pipeline, route};

/// Bytes of an answer: a challenge is echoed, and nobody gets a page from here.
const ANSWER_BYTES_MAX: usize = 1024;

impl Pipeline {
    /// The connector's answer; none when the channel takes no challenges, or the
    /// connector does not take this for one.
    pub async fn challenge(&self, channel: &str, path: String, headers: Vec<Header>) -> Option<Reply> {
        let channel = self.routes.channel(&ChannelId::parse(channel).ok()?)?;
        if !channel.challenges {
            return None;
        }
        let active = self.plugins.now();
        let stranger = Cause::Looking { channel: &channel.id, sender: None };
        let connector = self.plugin(&active, &channel.connector, Call::Receive, stranger).ok()?;
        let received_at = self.clock.now();
        let inbound = Inbound {
            method: "GET".to_owned(),
            path,
            headers,
            body: Vec::new(),
            received_at,
            sender: SenderId::authenticated("nobody"),
            settings: route::settings(&channel.settings),
        };
        let context = active.context(received_at);
        let answer = connector.plugin.receive(&context, &inbound);
        let crossed = self.call(connector, Call::Receive, stranger, answer).await.ok()?;
        match crossed.outcome {
            Ok(Ok(received))
                if received.documents.is_empty()
                    && received.problems.is_empty()
                    && received.reply.status == 200
                    && received.reply.body.len() <= ANSWER_BYTES_MAX =>
            {
                Some(received.reply)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(plugin = %error.plugin, failure = error.failure.code(), "a challenge was not answered");
                None
            }
        }
    }
}

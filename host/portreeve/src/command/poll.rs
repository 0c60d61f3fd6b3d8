//! `poll`: how sources that are asked for what is new go; of a data folder, or of a running host
//! over HTTP. Nothing is asked or changed by it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use portreeve_api::poll::{PollStanding, Polls, SubscriptionStanding};

use super::plugin::{Of, understood};
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// When each last worked, how old its place in its source is, how often it failed, and when it
    /// is due; and until when its source tells by itself what is new.
    List {
        #[command(flatten)]
        of: Of,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Command::List { of } = command;
    let found = all(&of).await?;
    if json {
        return output.json(&found);
    }
    found.polls.iter().try_for_each(|poll| {
        output.line(&shown(poll))?;
        poll.subscription.iter().try_for_each(|subscription| output.line(&subscribed(subscription)))
    })
}

async fn all(of: &Of) -> anyhow::Result<Polls> {
    if let Some(server) = of.running.server()? {
        return understood(&server.send(Method::GET, "/v1/polls", &[], Bytes::new()).await?);
    }
    let (locations, store) = of.data.open()?;
    let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    Ok(Polls::read(&host.pipeline).await?)
}

fn shown(poll: &PollStanding) -> String {
    let PollStanding { id, channel, origin, failures, .. } = poll;
    let worked = poll.worked_at.as_ref().map_or_else(|| "never worked".to_owned(), |at| format!("worked {at}"));
    let cursor = poll.cursor_age_seconds.map_or_else(String::new, |age| format!(", its cursor is {age} s old"));
    let fails = match (&poll.failing_since, &poll.code) {
        (Some(since), Some(code)) => format!(", failed {failures} time(s) since {since} ({code})"),
        _ => String::new(),
    };
    let due = match (&poll.due_at, poll.is_under_way) {
        (_, true) => "is under way".to_owned(),
        (Some(at), false) => format!("due {at}"),
        (None, false) => "due now".to_owned(),
    };
    format!("{id}  {origin} for channel {channel}: {worked}{cursor}{fails}; {due}")
}

fn subscribed(subscription: &SubscriptionStanding) -> String {
    let SubscriptionStanding { channel, resource, failures, .. } = subscription;
    let holds = match (&subscription.external_id, &subscription.until, subscription.holds) {
        (Some(id), Some(until), true) => format!("is {id} until {until}"),
        (Some(id), Some(until), false) => format!("was {id} and ended {until}"),
        _ => "was not given yet".to_owned(),
    };
    let fails = match (&subscription.failing_since, &subscription.code) {
        (Some(since), Some(code)) => format!(", failed {failures} time(s) since {since} ({code})"),
        _ => String::new(),
    };
    let due = subscription.due_at.as_ref().map_or_else(|| "due now".to_owned(), |at| format!("due {at}"));
    format!("    its subscription to {resource} on channel {channel} {holds}{fails}; {due}")
}

//! `poll`: how sources that are asked for what is new go; of a data folder, or of a running host
//! over HTTP. Nothing is asked or changed by it.

use portreeve_api::poll::{PollStanding, Polls, SubscriptionStanding};

use super::looking::Found;
use super::plugin::Of;
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
    let found = match of.look("/v1/polls").await? {
        Found::Told(found) => found,
        Found::InFolder(host) => Polls::read(&host.pipeline).await?,
    };
    if json {
        return output.json(&found);
    }
    found.polls.iter().try_for_each(|poll| {
        output.line(&shown(poll))?;
        poll.subscription.iter().try_for_each(|subscription| output.line(&subscribed(subscription)))
    })
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

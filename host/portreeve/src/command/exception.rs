//! `exception`: what waits for a person, and what a person does about it; in a stopped host's
//! folder, or of a running host over HTTP.
//!
//! `show` prints a short digest of what it shows, and a decision names it: so it is about what
//! somebody read, and not about what became of it meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::exception::together::{Member, TogetherRequest, TogetherStory};
use portreeve_api::exception::{
    AssignRequest, CommentRequest, CorrectionFacts, DecisionOutcome, DecisionRequest, Exception, ExceptionStory,
    Exceptions, MessageFacts, ProposalRequest, Released, RouteOwner, are_queues, cut,
};
use portreeve_authority::people::People;
use portreeve_model::{Digest, ExceptionAction, ExceptionKind};
use portreeve_pipeline::exception::{Work, edited};
use portreeve_pipeline::{Pipeline, Routes, SignedIn};
use portreeve_registry::file;
use portreeve_store::Store;
use portreeve_store::contract::ExceptionsWanted;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::acting::{self, Acting};
use super::looking::{Place, asked, encoded};
use super::plugin::{Of, understood};
use super::{BadUsage, Data, one_of};
use crate::client::Server;
use crate::config::Files;
use crate::files;
use crate::host::{self, Host};
use crate::output::Output;

/// Rows that are read at once.
const PAGE: u32 = 256;

/// Hexadecimal digits of a digest that a person types: enough to be about nothing else by
/// accident. A host that runs is sent all of them.
const DIGITS_MIN: usize = 12;

/// Bytes of a mended payload: what a front door takes.
const PAYLOAD_BYTES_MAX: usize = portreeve_api::INPUT_BYTES_MAX;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// What waits, oldest first.
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        of: Of,
    },
    /// One exception with its evidence, what happened to it, and what may be decided about it as it is now.
    Show {
        /// Its number in the list.
        exception: u64,
        #[command(flatten)]
        of: Of,
    },
    /// The message of a delivery that was given up, as its target would be sent it without what people
    /// corrected in it before: a further correction takes the place of all of that, and `show` tells it.
    Message {
        #[command(flatten)]
        one: One,
        /// Write it just so into this file, which only you can read then. What you change in it with
        /// an editor is proposed with `decide N correct --from FILE`.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Work on it; nobody else decides about it then.
    Claim(One),
    /// Work on it no more.
    GiveBack(One),
    /// Hand it to another account.
    Assign {
        #[command(flatten)]
        one: One,
        /// The account.
        #[arg(long, value_name = "NAME")]
        to: String,
    },
    /// Say something about it.
    Comment {
        #[command(flatten)]
        one: One,
        /// The words.
        #[arg(long)]
        words: String,
    },
    /// Decide about it. What is worth more than you decide alone waits for others to agree.
    Decide(Decide),
    /// Agree to exactly what somebody else proposed.
    Approve {
        #[command(flatten)]
        one: One,
        /// Its digest, as `show` prints it.
        #[arg(long, value_name = "DIGEST")]
        proposal: String,
    },
    /// Refuse what somebody proposed, or take back what you did.
    Refuse {
        #[command(flatten)]
        one: One,
        /// Its digest, as `show` prints it.
        #[arg(long, value_name = "DIGEST")]
        proposal: String,
    },
    /// All orders of its customer that are kept back: those that go together, and those that are
    /// others' work. Who is named sees what that person would decide, and nobody what somebody
    /// would who works on every queue.
    Customer(One),
    /// Release all orders of its customer that go together. What is worth more than you decide
    /// alone waits for others, who approve it by any of the exceptions.
    ReleaseCustomer {
        #[command(flatten)]
        one: One,
        /// What you were shown: the digest that `customer` prints, or at least its first 12 digits.
        #[arg(long, value_name = "DIGEST")]
        shown: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Only what is in this queue; once for each.
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    /// Only what is of this kind.
    #[arg(long, value_parser = one_of(ExceptionKind::ALL, ExceptionKind::as_str))]
    kind: Option<ExceptionKind>,
}

/// Which one, where, and who.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Its number in the list.
    exception: u64,
    #[command(flatten)]
    acting: Acting,
    #[command(flatten)]
    of: Of,
}

/// What is decided.
#[derive(Debug, clap::Args)]
pub(super) struct Decide {
    #[command(flatten)]
    one: One,
    /// One of the actions that `show` lists.
    #[arg(value_parser = action)]
    action: ExceptionAction,
    /// What you were shown: the digest that `show` prints, or at least its first 12 digits.
    #[arg(long, value_name = "DIGEST")]
    shown: String,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
    /// With `release-holds`: a hold that is to end, by its number; once for each.
    #[arg(long = "hold", value_name = "NUMBER")]
    holds: Vec<u64>,
    /// With `reroute`: whose work it is to be.
    #[arg(long)]
    queue: Option<String>,
    /// With `resubmit`: the file that takes the place of the input. With `correct`: one with a JSON
    /// list of `{"at", "was", "is"}`, what is to stand at which places of the message.
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// With `correct`: the message as `message --out` wrote it, with other words in it. What differs
    /// is proposed.
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    from: Option<PathBuf>,
}

fn action(text: &str) -> Result<ExceptionAction, String> {
    ExceptionAction::parse(text)
        .ok_or_else(|| format!("expected one of {}", ExceptionAction::ALL.map(ExceptionAction::as_str).join(", ")))
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::List { which, of } => list(&which, &of, json, output).await,
        Command::Show { exception, of } => {
            let story = Place::to_read(&of).await?.story(exception).await?;
            if json { output.json(&story) } else { show(&story, &of, output) }
        }
        Command::Message { one, out } => {
            let place = Place::to_act(&one).await?;
            let message = place.message(one.exception).await;
            let message = place.left(message).await?;
            if let Some(out) = &out {
                files::write_private(out, text_of(&message)?.as_bytes())?;
            }
            if json { output.json(&message) } else { show_message(&message, out.as_deref(), output) }
        }
        Command::Claim(one) => work(&one, &Step::Claim, json, output).await,
        Command::GiveBack(one) => work(&one, &Step::GiveBack, json, output).await,
        Command::Assign { one, to } => work(&one, &Step::Assign(AssignRequest { to }), json, output).await,
        Command::Comment { one, words } => work(&one, &Step::Comment(CommentRequest { words }), json, output).await,
        Command::Decide(decide) => decide_one(&decide, json, output).await,
        Command::Approve { one, proposal } => approve(&one, &proposal, json, output).await,
        Command::Refuse { one, proposal } => refuse(&one, &proposal, json, output).await,
        Command::Customer(one) => {
            let place = Place::to_look(&one).await?;
            let story = place.together(one.exception).await;
            let story = place.left(story).await?;
            if json { output.json(&story) } else { show_together(&story, &one.of, output) }
        }
        Command::ReleaseCustomer { one, shown, reason } => release_together(&one, &shown, reason, json, output).await,
    }
}

async fn list(which: &Which, of: &Of, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let place = of.place(Waiting::open(&of.data)).await?;
    which.are_queues(&place).await?;
    let mut after = 0;
    loop {
        let page = which.page(&place, after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        for exception in page.iter().filter(|one| which.has(one)) {
            if json {
                output.json(exception)?;
            } else {
                output.line(&line(exception))?;
            }
        }
    }
}

impl Which {
    /// Check: each is a queue that there is. A running host says so of each by itself.
    async fn are_queues(&self, place: &Place<Waiting>) -> anyhow::Result<()> {
        match place {
            Place::Folder(Waiting { store, people, .. }) => Ok(are_queues(store.as_ref(), people, &self.queues).await?),
            Place::Host(server) => {
                for queue in &self.queues {
                    let path = format!("/v1/exceptions?queue={}&limit=1", encoded(queue));
                    asked::<Exceptions>(server, &path).await?;
                }
                Ok(())
            }
        }
    }

    /// A running host is asked for one queue at most, and one of before knows no kinds.
    fn has(&self, one: &Exception) -> bool {
        let is_of_queues = self.queues.is_empty() || self.queues.contains(&one.queue);
        is_of_queues && self.kind.is_none_or(|kind| kind.as_str() == one.kind)
    }

    /// Those after a number, of a running host in whatever queue they are.
    async fn page(&self, place: &Place<Waiting>, after: u64) -> anyhow::Result<Vec<Exception>> {
        match place {
            Place::Host(server) => {
                let kind = self.kind.map_or_else(String::new, |kind| format!("&kind={}", kind.as_str()));
                let path = format!("/v1/exceptions?after={after}&limit={PAGE}{kind}");
                Ok(asked::<Exceptions>(server, &path).await?.exceptions)
            }
            Place::Folder(Waiting { store, routes, .. }) => {
                let (queues, kind) = (self.queues.clone(), self.kind);
                let wanted = ExceptionsWanted { queues, kind, customer: None, after, limit: PAGE };
                let found = store.exceptions_wanted(wanted).await?;
                Ok(found.into_iter().map(|exception| Exception::of(exception, routes)).collect())
            }
        }
    }
}

/// A stopped host's store, as what waits in it is listed.
struct Waiting {
    store: Arc<dyn Store>,
    /// Who owns what.
    routes: Routes,
    /// Whose queues there are.
    people: People,
}

impl Waiting {
    async fn open(data: &Data) -> anyhow::Result<Self> {
        let (_, store) = data.open()?;
        let configuration = Files::from_bytes(&host::active(&store).await?.bytes)?.check()?;
        Ok(Self { store, routes: configuration.routes, people: configuration.people })
    }
}

fn line(exception: &Exception) -> String {
    let Exception { id, kind, queue, code, detail, claimed_by, due_at, order_number, .. } = exception;
    let order = order_number.as_deref().unwrap_or("-");
    let due = due_at.as_deref().map_or_else(|| "-".to_owned(), |at| at.chars().take(16).collect());
    let whose = claimed_by.as_deref().unwrap_or("-");
    let why = cut(&why(code, detail));
    format!("{id:>4}  {kind:<8}  {queue:<16}  {whose:<12}  due {due:<16}  {order:<12}  {why}")
}

/// The code with its detail, which may begin with it.
fn why(code: &str, detail: &str) -> String {
    let rest = detail.strip_prefix(code).and_then(|rest| rest.strip_prefix(':'));
    format!("{code}: {}", rest.unwrap_or(detail).trim_start())
}

fn show(story: &ExceptionStory, of: &Of, output: &mut Output) -> anyhow::Result<()> {
    let exception = &story.exception;
    output.line(&format!(
        "exception {} ({}), queue {}: {}",
        exception.id,
        exception.kind,
        exception.queue,
        why(&exception.code, &exception.detail)
    ))?;
    if let Some(RouteOwner { part, name }) = &exception.route_owner {
        output.line(&format!("{name} answers for it ({part})"))?;
    }
    let mut times = format!("opened {}", exception.opened_at);
    for (word, at) in [("due", &exception.due_at), ("escalated", &exception.escalated_at)] {
        times.extend(at.iter().flat_map(|at| [", ", word, " ", at].map(str::to_owned)));
    }
    output.line(&times)?;
    if let Some(by) = &exception.claimed_by {
        output.line(&format!("{by} works on it"))?;
    }
    if let Some(order) = &story.order_facts {
        output.line(&format!(
            "order {}, {}, {}: {}: {}",
            order.number, order.channel, order.value, order.state, order.why
        ))?;
        for hold in &order.holds {
            let lines =
                if hold.lines.is_empty() { String::new() } else { format!(", lines {}", hold.lines.join(", ")) };
            let whose = hold.plugin.as_deref().unwrap_or("the host");
            output.line(&format!("  hold {} by {whose} in {}: {}{lines}", hold.number, hold.queue, hold.reason))?;
        }
        if order.cancel_requested {
            output.line("  its sender wants it cancelled")?;
        }
        if order.changed {
            output.line("  its sender sent other content since")?;
        }
    }
    if let Some(delivery) = &story.delivery {
        output.line(&format!(
            "delivery to {}: {} after {} attempt(s), replayed {} time(s)",
            delivery.target, delivery.state, delivery.attempts, delivery.replays
        ))?;
    }
    for CorrectionFacts { at, was, is } in &story.corrected {
        output.line(&format!(
            "  corrected before, and replaced by a further correction: at {at} `{was}` became `{is}`"
        ))?;
    }
    if let Some(plugin) = &story.plugin {
        let of = plugin.cause.as_deref().map_or_else(|| "at all".to_owned(), |cause| format!("in {cause}"));
        output
            .line(&format!("plugin {} {}: not called {of} until {}", plugin.plugin, plugin.component, plugin.until))?;
        output.line(&format!("  failed with {}, {} pause(s) in a row", plugin.failure, plugin.pauses))?;
    }
    if let (Some(channel), Some(sender)) = (&story.channel, &story.sender) {
        output.line(&format!("it came by {channel} from {sender}"))?;
    }
    if let Some(line) = bytes_of(&exception.kind, story.input.as_deref(), of) {
        output.line(&line)?;
    }
    if !story.owners.is_empty() {
        output.line(&format!(
            "a model asked; its grant's owner ({}) decides nothing about it",
            story.owners.join(", ")
        ))?;
    }
    for step in &story.steps {
        let who = step.who.as_deref().unwrap_or("the host");
        let to = step.to.as_deref().map_or_else(String::new, |to| format!(" to {to}"));
        let words = step.words.as_deref().map_or_else(String::new, |words| format!(": {words}"));
        output.line(&format!("  {}  {who} {}{to}{words}", step.at, step.step))?;
    }
    if let Some(proposal) = &story.proposal {
        output.line(&format!(
            "proposed by {}: {} ({}); {} of {} agreed, until {}",
            proposal.by,
            proposal.action,
            proposal.reason.as_deref().unwrap_or("its words were removed"),
            proposal.approved_by.len(),
            proposal.approvals_needed,
            proposal.expires_at
        ))?;
        for CorrectionFacts { at, was, is } in &proposal.corrections {
            output.line(&format!("  at {at}: `{was}` becomes `{is}`"))?;
        }
        if !proposal.together.is_empty() {
            output.line(&format!(
                "  about exceptions {} together; exception customer {} shows all of them",
                proposal.together.join(", "),
                exception.id
            ))?;
        }
        output.line(&format!("  {}", approved_by(exception.id, &proposal.digest, of)))?;
    }
    if let Some(how) = &exception.closed_how {
        let by = exception.closed_by.as_deref().unwrap_or("the host");
        let at = exception.closed_at.as_deref().unwrap_or("-");
        return output.line(&format!("closed {at}: {how}, by {by}"));
    }
    let actions = if story.actions.is_empty() { "nothing now".to_owned() } else { story.actions.join(", ") };
    output.line(&format!("shown {}; decide: {actions}", short(&story.shown)))
}

/// By which command the bytes are seen that it came in, and by whom: of an order those of the document that
/// brought it, or that asked for something else. What goes out is seen by `exception message`.
fn bytes_of(kind: &str, input: Option<&str>, of: &Of) -> Option<String> {
    use ExceptionKind::{Change, Document, Held, Input, Order};
    let comes_in = matches!(ExceptionKind::parse(kind)?, Input | Document | Held | Order | Change);
    let (input, place) = (input.filter(|_| comes_in)?, of.typed());
    Some(format!(
        "the bytes that it came in, for whoever works on the channel's queue: \
         portreeve input content {input} --out FILE {place}"
    ))
}

fn show_message(message: &MessageFacts, out: Option<&Path>, output: &mut Output) -> anyhow::Result<()> {
    let MessageFacts { kind, content_type, body, correctable, .. } = message;
    let places = if correctable.is_empty() { "nothing".to_owned() } else { correctable.join(", ") };
    output.line(&format!(
        "{kind} ({content_type}); people may correct {places}; what they corrected before is not in it"
    ))?;
    match out {
        Some(out) => output.line(&format!("it is in `{}`", out.display())),
        None => output.line(body),
    }
}

/// A message for an editor.
fn text_of(message: &MessageFacts) -> anyhow::Result<&str> {
    if !message.is_text {
        bail!(
            "found a message that is no text ({}), expected one that an editor shows; correct it at its target, or abandon it",
            message.content_type
        );
    }
    Ok(&message.body)
}

fn show_together(story: &TogetherStory, of: &Of, output: &mut Output) -> anyhow::Result<()> {
    for Member { exception, order_facts, owners, .. } in &story.members {
        let number = exception.order_number.as_deref().unwrap_or("-");
        let (value, reasons) = match order_facts {
            Some(order) => {
                let reasons: Vec<&str> = order.holds.iter().map(|hold| hold.reason.as_str()).collect();
                (order.value.as_str(), reasons.join(", "))
            }
            None => ("-", String::new()),
        };
        let (id, queue, whose) = (exception.id, &exception.queue, exception.claimed_by.as_deref().unwrap_or("-"));
        output.line(&format!("{id:>4}  {queue:<16}  {whose:<12}  {number:<12}  {value:>16}  {reasons}"))?;
        if !owners.is_empty() {
            let owners = owners.join(", ");
            output.line(&format!("      a model asked; its grant's owner ({owners}) decides nothing about it"))?;
        }
    }
    for exception in &story.apart {
        output.line(&format!("not with these: {}", line(exception).trim_start()))?;
    }
    if story.more > 0 {
        output.line(&format!("{} more of this customer are not shown", story.more))?;
    }
    let worth = story.worth.as_ref().map_or_else(|| "more than can be told".to_owned(), |worth| worth.join(", "));
    let count = story.members.len();
    if let Some(proposal) = &story.proposal {
        let reason = proposal.reason.as_deref().unwrap_or("its words were removed");
        let by = &proposal.by;
        output.line(&format!("{count} together, worth {worth}; {by} proposed to release them: {reason}"))?;
        return output.line(&format!("  {}", approved_by(story.exception, &proposal.digest, of)));
    }
    output.line(&format!("{count} together, worth {worth}; shown {}", short(&story.shown)))
}

async fn release_together(
    one: &One,
    shown: &str,
    reason: String,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let place = Place::to_act(one).await?;
    let now = place.together(one.exception).await?.shown;
    let Some(whole) = whole(shown, &now)? else {
        bail!(
            "what keeps orders of this customer back is not what `{shown}` was shown of; `exception customer {}` shows what it is now",
            one.exception
        )
    };
    let outcome = place.release_together(one.exception, &TogetherRequest { shown: whole, reason }).await?;
    told(&outcome, None, one, json, output)
}

pub(super) fn short(digest: &str) -> &str {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.get(..DIGITS_MIN).unwrap_or(digits)
}

async fn work(one: &One, step: &Step, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let story = Place::to_act(one).await?.work(one.exception, step).await?;
    if json { output.json(&story) } else { show(&story, &one.of, output) }
}

async fn decide_one(decide: &Decide, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if decide.from.is_some() && decide.action != ExceptionAction::Correct {
        let said = "found `--from` beside another action, expected it with `correct`; leave it out".to_owned();
        return Err(BadUsage(said).into());
    }
    let mut payload_hex = match &decide.payload {
        Some(path) => {
            let bytes = file::read(path, PAYLOAD_BYTES_MAX)
                .with_context(|| format!("the payload `{}` cannot be read", path.display()))?;
            Some(hex::encode(bytes))
        }
        None => None,
    };
    let exception = decide.one.exception;
    let place = Place::to_act(&decide.one).await?;
    let ExceptionStory { shown: now, standing, exception: Exception { kind, .. }, .. } = place.story(exception).await?;
    let Some(shown) = whole(&decide.shown, &now)? else {
        bail!(
            "exception {exception} changed since it was shown as `{}`; now it stands so: {standing}. Look at it again \
             (`exception show {exception}`) and decide about that",
            decide.shown
        )
    };
    if let Some(from) = &decide.from {
        let message = place.message(exception).await?;
        payload_hex = Some(hex::encode(changed_in(&message, from)?));
    }
    let request = DecisionRequest {
        shown,
        action: decide.action.as_str().to_owned(),
        reason: decide.reason.clone(),
        holds: decide.holds.clone(),
        queue: decide.queue.clone(),
        payload_hex,
    };
    let follows = follows(decide.action, &kind, &decide.one.of);
    told(&place.decide(exception, &request).await?, follows, &decide.one, json, output)
}

/// What comes of a decision later and by whom, where it only has something tried again.
fn follows(action: ExceptionAction, kind: &str, of: &Of) -> Option<String> {
    let again = match (action, ExceptionKind::parse(kind)?) {
        (ExceptionAction::Retry, ExceptionKind::Document) => "document",
        (ExceptionAction::Retry | ExceptionAction::Correct, ExceptionKind::Delivery) => "delivery",
        _ => return None,
    };
    let by = if of.running.server.is_some() { "the running host" } else { "`portreeve serve`" };
    Some(format!("the {again} is tried again by {by}, and a new exception is opened where that fails"))
}

/// What somebody changed in a message, as the decision about it says that.
fn changed_in(message: &MessageFacts, from: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("the message in `{}` cannot be read", from.display());
    let bytes = file::read(from, PAYLOAD_BYTES_MAX).with_context(failed)?;
    let text = String::from_utf8(bytes).with_context(failed)?;
    let corrections = edited(text_of(message)?, &text)
        .map_err(|why| anyhow::anyhow!("what was changed in `{}` is no correction: {why}", from.display()))?;
    serde_json::to_vec(&corrections).context("the corrections have no JSON")
}

async fn approve(one: &One, proposal: &str, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let place = Place::to_act(one).await?;
    let story = place.story(one.exception).await?;
    let action = story.proposal.as_ref().and_then(|proposal| ExceptionAction::parse(&proposal.action));
    let follows = action.and_then(|action| follows(action, &story.exception.kind, &one.of));
    let proposal = open_proposal(&story, proposal)?;
    told(&place.approve(one.exception, proposal).await?, follows, one, json, output)
}

async fn refuse(one: &One, proposal: &str, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let place = Place::to_act(one).await?;
    let proposal = open_proposal(&place.story(one.exception).await?, proposal)?;
    let story = place.refuse(one.exception, proposal).await?;
    if json { output.json(&story) } else { show(&story, &one.of, output) }
}

/// What a decision did, and what follows where it is carried out.
fn told(
    outcome: &DecisionOutcome,
    follows: Option<String>,
    one: &One,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    if json {
        return output.json(outcome);
    }
    let exception = outcome.exception;
    if let (Some(proposal), Some(until)) = (&outcome.proposal, &outcome.expires_at) {
        let missing = outcome.approvals_missing;
        return output.line(&format!(
            "exception {exception} waits until {until} for {missing} more to agree: {}",
            approved_by(exception, proposal, &one.of)
        ));
    }
    for Released { number, state, why, closed, .. } in outcome.order.iter().chain(&outcome.orders) {
        let ended: Vec<String> = closed.iter().map(u64::to_string).collect();
        output.line(&format!("order {number} is {state}: {why}; hold(s) {} ended", ended.join(", ")))?;
    }
    if outcome.order.is_none() && outcome.orders.is_empty() {
        output.line(&format!("exception {exception} is decided"))?;
    }
    match follows.filter(|_| outcome.done) {
        Some(follows) => output.line(&follows),
        None => Ok(()),
    }
}

/// The command by which somebody agrees.
fn approved_by(exception: u64, proposal: &str, of: &Of) -> String {
    format!("portreeve exception approve {exception} --proposal {} {}", short(proposal), of.typed())
}

/// The whole digest of the open proposal that somebody typed the beginning of.
fn open_proposal(story: &ExceptionStory, typed: &str) -> anyhow::Result<Digest> {
    let exception = story.exception.id;
    let open = story.proposal.as_ref();
    let open = open.with_context(|| format!("exception {exception} has no open proposal; it may have expired"))?;
    match whole(typed, &open.digest)? {
        Some(digest) => Ok(Digest::parse(&digest)?),
        None => bail!("the open proposal of exception {exception} is {}, and not `{typed}`", short(&open.digest)),
    }
}

/// The digest that somebody typed the beginning of; none where it is another one.
pub(super) fn whole(typed: &str, digest: &str) -> anyhow::Result<Option<String>> {
    let digits = typed.strip_prefix("sha256:").unwrap_or(typed);
    if digits.len() < DIGITS_MIN {
        let said = format!("found `{typed}`, expected at least the {DIGITS_MIN} digits that `exception show` prints");
        return Err(BadUsage(said).into());
    }
    let found = digest.strip_prefix("sha256:").unwrap_or(digest);
    Ok(found.starts_with(digits).then(|| digest.to_owned()))
}

/// A step that decides nothing.
enum Step {
    Claim,
    GiveBack,
    Assign(AssignRequest),
    Comment(CommentRequest),
}

impl Step {
    fn work(&self) -> Work<'_> {
        match self {
            Self::Claim => Work::Claim,
            Self::GiveBack => Work::GiveBack,
            Self::Assign(request) => Work::Assign(&request.to),
            Self::Comment(request) => Work::Comment(&request.words),
        }
    }
}

/// A stopped host's folder, as exceptions are looked at and decided in it.
enum Opened {
    /// To look.
    ToLook(Box<Host>),
    /// To act as somebody.
    ToAct(Box<acting::Place>),
}

impl Opened {
    fn pipeline(&self) -> &Arc<Pipeline> {
        match self {
            Self::ToLook(host) => &host.pipeline,
            Self::ToAct(place) => &place.host.pipeline,
        }
    }

    fn who(&self) -> Option<&SignedIn> {
        match self {
            Self::ToLook(_) => None,
            Self::ToAct(place) => Some(&place.who),
        }
    }

    /// Who acts in it, with it.
    fn acting(self) -> anyhow::Result<acting::Place> {
        match self {
            Self::ToLook(_) => bail!(NOBODY),
            Self::ToAct(place) => Ok(*place),
        }
    }
}

/// A running host finds out by itself who acts.
impl Place<Opened> {
    async fn to_read(of: &Of) -> anyhow::Result<Self> {
        of.place(async { of.data.to_look().await.map(Opened::ToLook) }).await
    }

    async fn to_act(One { acting, of, .. }: &One) -> anyhow::Result<Self> {
        of.place(async {
            acting.somebody()?;
            let (locations, store) = of.data.open_to_write_or_ask()?;
            anyhow::Ok(Opened::ToAct(Box::new(acting.open_in(&locations, store).await?)))
        })
        .await
    }

    /// To look as somebody, where somebody is named.
    async fn to_look(one: &One) -> anyhow::Result<Self> {
        if one.acting.is_somebody() { Self::to_act(one).await } else { Self::to_read(&one.of).await }
    }

    async fn story(&self, exception: u64) -> anyhow::Result<ExceptionStory> {
        match self {
            Self::Folder(opened) => Ok(ExceptionStory::read(opened.pipeline(), exception).await?),
            Self::Host(server) => asked(server, &format!("/v1/exceptions/{exception}")).await,
        }
    }

    async fn together(&self, exception: u64) -> anyhow::Result<TogetherStory> {
        match self {
            Self::Folder(opened) => Ok(TogetherStory::read(opened.pipeline(), opened.who(), exception).await?),
            Self::Host(server) => asked(server, &format!("/v1/exceptions/{exception}/customer")).await,
        }
    }

    async fn message(&self, exception: u64) -> anyhow::Result<MessageFacts> {
        match self {
            Self::Folder(opened) => {
                let who = opened.who().context(NOBODY)?;
                Ok(MessageFacts::of(opened.pipeline().message_of(who, exception).await?))
            }
            Self::Host(server) => asked(server, &format!("/v1/exceptions/{exception}/message")).await,
        }
    }

    /// Ends what was begun to look as somebody.
    async fn left<T>(self, done: anyhow::Result<T>) -> anyhow::Result<T> {
        match self {
            Self::Folder(Opened::ToAct(place)) => place.finish(done).await,
            Self::Folder(Opened::ToLook(_)) | Self::Host(_) => done,
        }
    }

    async fn work(self, exception: u64, step: &Step) -> anyhow::Result<ExceptionStory> {
        match (self, step) {
            (Self::Host(server), Step::Claim) => post(&server, exception, "claim", &Empty {}).await,
            (Self::Host(server), Step::GiveBack) => post(&server, exception, "give-back", &Empty {}).await,
            (Self::Host(server), Step::Assign(request)) => post(&server, exception, "assign", request).await,
            (Self::Host(server), Step::Comment(request)) => post(&server, exception, "comment", request).await,
            (Self::Folder(opened), step) => {
                let place = opened.acting()?;
                let pipeline = Arc::clone(&place.host.pipeline);
                let done = pipeline.work_on_exception(&place.who, exception, step.work()).await;
                place.finish(done).await?;
                Ok(ExceptionStory::read(&pipeline, exception).await?)
            }
        }
    }

    async fn decide(self, exception: u64, request: &DecisionRequest) -> anyhow::Result<DecisionOutcome> {
        match self {
            Self::Host(server) => post(&server, exception, "decide", request).await,
            Self::Folder(opened) => {
                let place = opened.acting()?;
                let asked = request.read().map_err(BadUsage)?;
                let decision = asked.decision(exception, request);
                let done = place.host.pipeline.decide_exception(&place.who, decision).await;
                Ok(DecisionOutcome::of(exception, place.finish(done).await?))
            }
        }
    }

    async fn release_together(self, exception: u64, request: &TogetherRequest) -> anyhow::Result<DecisionOutcome> {
        match self {
            Self::Host(server) => post(&server, exception, "customer", request).await,
            Self::Folder(opened) => {
                let place = opened.acting()?;
                let shown = request.read().map_err(BadUsage)?;
                let reason = &request.reason;
                let done = place.host.pipeline.decide_together(&place.who, exception, shown, reason).await;
                Ok(DecisionOutcome::of(exception, place.finish(done).await?))
            }
        }
    }

    async fn approve(self, exception: u64, proposal: Digest) -> anyhow::Result<DecisionOutcome> {
        match self {
            Self::Host(server) => {
                post(&server, exception, "approve", &ProposalRequest { proposal: proposal.to_string() }).await
            }
            Self::Folder(opened) => {
                let place = opened.acting()?;
                let done = place.host.pipeline.approve(&place.who, exception, proposal).await;
                Ok(DecisionOutcome::of(exception, place.finish(done).await?))
            }
        }
    }

    async fn refuse(self, exception: u64, proposal: Digest) -> anyhow::Result<ExceptionStory> {
        match self {
            Self::Host(server) => {
                post(&server, exception, "refuse", &ProposalRequest { proposal: proposal.to_string() }).await
            }
            Self::Folder(opened) => {
                let place = opened.acting()?;
                let pipeline = Arc::clone(&place.host.pipeline);
                let done = pipeline.refuse(&place.who, exception, proposal).await;
                place.finish(done).await?;
                Ok(ExceptionStory::read(&pipeline, exception).await?)
            }
        }
    }
}

/// A folder that was opened to look at.
const NOBODY: &str = "nobody is named who does this; say who with --as NAME";

/// A request without a body.
#[derive(Serialize)]
struct Empty {}

async fn post<T: DeserializeOwned>(
    server: &Server,
    exception: u64,
    word: &str,
    request: &impl Serialize,
) -> anyhow::Result<T> {
    let body = serde_json::to_vec(request).context("the request has no JSON")?;
    let path = format!("/v1/exceptions/{exception}/{word}");
    let headers = [("content-type", "application/json")];
    understood(&server.send(Method::POST, &path, &headers, Bytes::from(body)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Running;

    fn of(server: Option<&str>) -> Of {
        let data = Data { data_dir: PathBuf::from("data") };
        Of { data, running: Running { server: server.map(str::to_owned), token_file: None } }
    }

    #[test]
    fn of_what_is_only_tried_again_it_is_told_by_whom_and_what_says_that_it_failed() {
        use ExceptionAction::{Abandon, Correct, Resubmit, Retry};
        let (folder, running) = (of(None), of(Some("http://127.0.0.1:9")));
        let document = follows(Retry, "document", &folder).unwrap_or_default();
        let ends = "is tried again by `portreeve serve`, and a new exception is opened where that fails";
        assert_eq!(document, format!("the document {ends}"));
        let delivery = follows(Correct, "delivery", &running).unwrap_or_default();
        assert!(delivery.starts_with("the delivery is tried again by the running host, "), "{delivery}");
        // An input is looked at before the decision is told, and what nobody does is not told at all.
        for (action, kind) in [(Retry, "input"), (Resubmit, "input"), (Retry, "plugin"), (Abandon, "document")] {
            assert_eq!(follows(action, kind, &running), None, "{action:?} {kind}");
        }
    }

    #[test]
    fn the_bytes_are_named_of_what_came_in_and_of_nothing_that_goes_out_or_stands_still() {
        use ExceptionKind::{Change, Document, Held, Input, Order};
        let of = of(None);
        for kind in ExceptionKind::ALL {
            let is_named = matches!(kind, Input | Document | Held | Order | Change);
            let said = bytes_of(kind.as_str(), Some("sha256:00"), &of);
            let named = "portreeve input content sha256:00 --out FILE --data-dir data --as NAME --key-file FILE";
            assert_eq!(said.is_some_and(|said| said.ends_with(named)), is_named, "{kind:?}");
            assert_eq!(bytes_of(kind.as_str(), None, &of), None);
        }
    }
}

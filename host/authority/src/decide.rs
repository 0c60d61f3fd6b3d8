//! The decision: advice, an order, counters and the time go in, a verdict comes out.
//!
//! The function is pure: it reserves no budget, it reads no clock. The caller passes
//! fresh counters, commits the effect with the reservation in one transaction, and
//! asks again with new counters when the reservation fails.
//!
//! **Several grants for one plugin.** Each is tried on its own; the verdict on the
//! highest rung wins, and among equal rungs the first in file order. When all
//! refuse, the one that met most clauses explains why, again the first in file
//! order. A grant therefore never takes away what another one gives: to narrow a
//! plugin, change its grant or write a `forbid`. A spent budget is told whichever
//! grant wins.

use std::sync::Arc;

use portreeve_model::advice::RANKED_NODES_MAX;
use portreeve_model::advice::{DateProposal, Hold, HoldScope};
use portreeve_model::{ChannelId, Digest, Instant, Money, OrderId, PluginName, Proposal, Recommendation};

use crate::data::{self, DataGrant, Fields};
use crate::grant::{
    self, Beyond, BudgetSpent, Grant, HOLD_MINUTES_MAX, HoldCeiling, RecommendKind, RouteCeiling, Rung,
};
use crate::known::Known;
use crate::policy::{Answer, Fact, Policies, Question, SCHEMA};
use crate::verdict::{Code, Draft, Effect, Reserve, Said, Verdict, shown};
use portreeve_model::strict::{LoadErrors, Problems, SourceFile};

/// The grants and policies that are in force.
#[derive(Debug, Clone)]
pub struct Authority {
    grants: Vec<Arc<Grant>>,
    data: Vec<DataGrant>,
    policies: Arc<Policies>,
    /// Whether policies may answer what they answered before.
    remembers: bool,
    digest: Digest,
}

/// What a plugin says, and who it is; the host fills in everything but the proposal
/// and the score.
#[derive(Debug, Clone, Copy)]
pub struct Advice<'a> {
    /// The plugin's name.
    pub plugin: &'a PluginName,
    /// Its publisher. The component names it itself, and is not called unless that publisher signed it.
    pub publisher: &'a str,
    /// The component that ran.
    pub digest: Digest,
    /// Its score in basis points, 0 to 10000.
    pub score_bp: u16,
    /// What it asks for.
    pub proposal: &'a Proposal,
}

/// The facts of an order that a decision needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The host's id of the order.
    pub order: OrderId,
    /// The channel that it came by.
    pub channel: ChannelId,
    /// The customer's class; none when the customer is not known.
    pub customer_class: Option<String>,
    /// What the order is worth.
    pub value: Money,
    /// The numbers of its lines.
    pub line_numbers: Vec<String>,
    /// Where it goes, ISO 3166-1 alpha-2, where that is known.
    pub ship_country: Option<String>,
}

/// What the plugin caused so far, as the caller's transaction sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Holds within the last hour.
    pub holds_last_hour: u32,
    /// Routes within the last hour.
    pub routes_last_hour: u32,
    /// Value of the other orders that it holds since midnight UTC, each counted once,
    /// minor units of the order's currency: only an order in the grant's currency can
    /// be held, so the two are the same where it matters.
    pub value_held_today_minor: i64,
    /// Orders that were decided within the last hour, at least this many.
    pub orders_last_hour: u32,
}

/// What a clause-by-clause look at one grant came to, before Cedar is asked.
type Landing = Result<Landed, Code>;

struct Landed {
    effect: Effect,
    code: Code,
    /// What a policy has to permit: the effect, or the hold in whose stead the host
    /// keeps the order. Policies for holds know nothing of budgets, and a hold that
    /// they permit must not be lost because its budget is spent.
    permit: Effect,
}

impl Landed {
    fn at(effect: Effect, code: Code) -> Self {
        Self { permit: effect.clone(), effect, code }
    }
}

impl Authority {
    /// Reads grants (TOML) and policies (Cedar), in the order given, which is the
    /// grants' precedence. No file at all is fine: everything is then refused.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files.
    pub fn load(grants: &[SourceFile<'_>], policies: &[SourceFile<'_>], known: &Known) -> Result<Self, LoadErrors> {
        let mut problems = Problems::new();
        let digest = digest(grants, policies);
        let (grants, data) = grant::load(grants, known, &mut problems);
        match Policies::load(policies, known, &mut problems) {
            Some(policies) if problems.is_empty() => {
                let grants = grants.into_iter().map(Arc::new).collect();
                Ok(Self { grants, data, policies: Arc::new(policies), remembers: true, digest })
            }
            _ => Err(LoadErrors::new(problems)),
        }
    }

    /// The same, that evaluates each policy each time: whoever checks a decision of before
    /// must not hear what was remembered of it.
    #[must_use]
    pub fn without_memory(&self) -> Self {
        Self { remembers: false, ..self.clone() }
    }

    /// Decides what one proposal about one order may cause, at `now`.
    #[must_use]
    pub fn decide(&self, advice: &Advice<'_>, subject: &Subject, counters: &Counters, now: Instant) -> Verdict {
        // Check: this version has a word for the proposal.
        let Some(proposed) = rung_of(advice.proposal) else {
            return self.draft(advice, subject).refuse(Code::UnknownProposal, None, Vec::new());
        };

        // Check: each grant that names the plugin, in file order.
        let mut best: Option<Verdict> = None;
        let mut spent = false;
        for grant in self.grants.iter().filter(|g| g.plugin == *advice.plugin) {
            let verdict = self.decide_under(grant, proposed, advice, subject, counters, now);
            spent |= verdict.budget_spent();
            if best.as_ref().is_none_or(|best| verdict.rank() > best.rank()) {
                best = Some(verdict);
            }
        }
        let best = best.unwrap_or_else(|| {
            let mut draft = self.draft(advice, subject);
            draft.note(Code::NoGrant, "plugin", false, Said::text(advice.plugin), Said::Word("a grant that names it"));
            draft.refuse(Code::NoGrant, None, Vec::new())
        });
        best.after_spent_budget(spent)
    }

    /// The grants in force, in file order.
    #[must_use]
    pub fn grants(&self) -> &[Arc<Grant>] {
        &self.grants
    }

    /// The data grants in force, in file order.
    #[must_use]
    pub fn data_grants(&self) -> &[DataGrant] {
        &self.data
    }

    /// What of an order a scorer sees, at `now`.
    #[must_use]
    pub fn sees(&self, plugin: &PluginName, now: Instant) -> Fields {
        data::shown(&self.data, plugin, now)
    }

    /// What grants allow and no policy permits, whatever the order: such a word of a
    /// grant has no effect.
    #[must_use]
    pub fn unpermitted(&self) -> Vec<(&Grant, Rung)> {
        let granted = self
            .grants
            .iter()
            .map(Arc::as_ref)
            .flat_map(|grant: &Grant| grant.may.iter().rev().map(move |rung| (grant, *rung)));
        granted.filter(|(grant, rung)| !self.policies.could_permit(&grant.plugin, *rung)).collect()
    }

    /// The digest of all grants and policies, which every decision records.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    fn decide_under(
        &self,
        grant: &Arc<Grant>,
        proposed: Rung,
        advice: &Advice<'_>,
        subject: &Subject,
        counters: &Counters,
        now: Instant,
    ) -> Verdict {
        let mut draft = self.draft(advice, subject);

        // Check: the grant is for this component, this order and this day.
        check_bearer(grant, advice, subject, now, &mut draft);
        // Check: the proposal fits the order that it is about.
        check_shape(advice.proposal, subject, &mut draft);
        if let Some(code) = draft.failed() {
            return draft.refuse(code, Some(grant), Vec::new());
        }

        // Check: rung, ceilings, queues, budget; what is beyond lands lower or nowhere.
        let landing = match advice.proposal {
            Proposal::Hold(hold) => land_hold(grant, hold, subject, counters, now, &mut draft),
            Proposal::Route(queue) => land_route(grant, queue, subject, counters, now, &mut draft),
            Proposal::Recommend(what) => land_recommendation(grant, what, &mut draft),
            Proposal::Other(_) => Err(Code::UnknownProposal),
        };
        let Landed { effect, code, permit } = match landing {
            Ok(landed) => landed,
            Err(code) => return draft.refuse(code, Some(grant), Vec::new()),
        };

        // Check: Cedar permits what is left of it. It is asked about the rung that was
        // reached, so that a fall never passes by a policy.
        let reached = permit.rung().unwrap_or(proposed);
        let question = Question {
            plugin: advice.plugin,
            action: reached,
            order: subject.order,
            fact: &|name| fact(name, &permit, advice, subject, counters),
        };
        let answer = if self.remembers { self.policies.ask(question) } else { self.policies.evaluate(question) };
        let permitted = matches!(answer, Answer::Permitted(_));
        let (code, policies) = match answer {
            Answer::Permitted(policies) => (code, policies),
            Answer::Denied(policies) => (Code::PolicyDenied, policies),
            Answer::Erred(policies) => (Code::PolicyError, policies),
        };
        let found = if permitted { "permitted" } else { code.as_str() };
        let required = match reached {
            Rung::Hold => "a policy that permits `hold`, and no error",
            Rung::Route => "a policy that permits `route`, and no error",
            Rung::Recommend => "a policy that permits `recommend`, and no error",
        };
        draft.note(code, "policy", permitted, Said::Word(found), Said::Word(required));
        draft.close(effect, code, Some(grant), policies)
    }

    fn draft(&self, advice: &Advice<'_>, subject: &Subject) -> Draft {
        Draft::new(subject.order, advice.plugin, self.digest, rung_of(advice.proposal))
    }
}

fn rung_of(proposal: &Proposal) -> Option<Rung> {
    match proposal {
        Proposal::Hold(_) => Some(Rung::Hold),
        Proposal::Route(_) => Some(Rung::Route),
        Proposal::Recommend(_) => Some(Rung::Recommend),
        Proposal::Other(_) => None,
    }
}

/// Whether the grant is for this component, this kind of order and this day. All
/// clauses are looked at, so that a refusal names everything that is missing.
fn check_bearer(grant: &Grant, advice: &Advice<'_>, subject: &Subject, now: Instant, draft: &mut Draft) {
    // Check: the component comes from the publisher that the grant names.
    if let Some(publisher) = &grant.publisher {
        let held = publisher == advice.publisher;
        let required = Said::Text(Arc::clone(&grant.words.publisher));
        let found = if held { required.clone() } else { Said::text(shown(advice.publisher)) };
        draft.note(Code::PublisherNotGranted, "publisher", held, found, required);
    }

    // Check: it is one of the components that the grant names, or the grant names none.
    if !grant.digests.is_empty() {
        let held = grant.digests.contains(&advice.digest);
        let required = Said::text(format!("one of {} digests", grant.digests.len()));
        draft.note(Code::DigestNotGranted, "digests", held, Said::Digest(advice.digest), required);
    }

    // Check: the grant's last day is not over.
    let found = now.date().map_or(Said::Word("no date"), Said::Day);
    draft.note(Code::GrantExpired, "expires", !grant.is_over(now), found, Said::OrEarlier(grant.expires));

    // Check: it is the grant's time of day, or the grant names none.
    if let Some(hours) = grant.hours {
        let (found, required) = (Said::text(now), Said::text(format!("{hours} UTC")));
        draft.note(Code::OutsideHours, "hours", hours.contain(now), found, required);
    }

    // Check: the order came by a channel that the grant names, or it names none.
    if !grant.channels.is_empty() {
        let held = grant.channels.contains(&subject.channel);
        let found = Said::text(format!("`{}`", subject.channel));
        draft.note(Code::ChannelNotGranted, "channels", held, found, Said::Text(Arc::clone(&grant.words.channels)));
    }

    // Check: the customer's class is one that the grant names, or it names none.
    if !grant.customer_classes.is_empty() {
        let class = subject.customer_class.as_ref();
        let held = class.is_some_and(|class| grant.customer_classes.contains(class));
        let found = class.map_or(Said::Word("not known"), |class| Said::text(shown(class)));
        let required = Said::Text(Arc::clone(&grant.words.customer_classes));
        draft.note(Code::CustomerClassNotGranted, "customer_classes", held, found, required);
    }
}

/// Whether the proposal is possible for this order at all. What is not is refused
/// without a fall: the plugin is wrong, not bold.
fn check_shape(proposal: &Proposal, subject: &Subject, draft: &mut Draft) {
    let code = Code::MalformedProposal;
    match proposal {
        Proposal::Hold(hold) => {
            // Check: the hold lasts, and not beyond what the contract has.
            let held = (1..=HOLD_MINUTES_MAX).contains(&hold.minutes);
            let (found, required) = (Said::whole(hold.minutes), Said::OneTo(HOLD_MINUTES_MAX, " minutes"));
            draft.note(code, "minutes", held, found, required);
            // Check: it names lines of this order, each once.
            if let HoldScope::Lines(lines) = &hold.scope {
                check_lines(lines.iter(), subject, draft);
            }
        }
        Proposal::Recommend(Recommendation::AlternateShipNode(nodes)) => {
            // Check: as many nodes as a person reads.
            let held = (1..=RANKED_NODES_MAX).contains(&nodes.len());
            let most = u32::try_from(RANKED_NODES_MAX).unwrap_or(u32::MAX);
            draft.note(code, "nodes", held, Said::count(nodes.len()), Said::OneTo(most, ""));
        }
        Proposal::Recommend(Recommendation::NewDate(date)) => {
            // Check: the date lies in its own interval.
            let held = date.earliest <= date.date && date.date <= date.latest;
            draft.note(code, "date", held, Said::text(date_text(date)), Said::Word("a date within its interval"));
            if let Some(line) = &date.line_number {
                check_lines([line].into_iter(), subject, draft);
            }
        }
        Proposal::Recommend(Recommendation::ExceptionPrice(price)) => {
            // Check: the price is for a line of this order, in its currency.
            check_lines([&price.line_number].into_iter(), subject, draft);
            let held = price.price.currency == subject.value.currency;
            let (found, required) = (Said::text(price.price.currency), Said::text(subject.value.currency));
            draft.note(code, "currency", held, found, required);
        }
        Proposal::Recommend(
            Recommendation::Review(_)
            | Recommendation::Disposition(_)
            | Recommendation::Draft(_)
            | Recommendation::Other(_),
        )
        | Proposal::Route(_)
        | Proposal::Other(_) => {}
    }
}

fn check_lines<'a>(lines: impl Iterator<Item = &'a String>, subject: &Subject, draft: &mut Draft) {
    let named: Vec<&String> = lines.collect();
    let distinct: std::collections::BTreeSet<&String> = named.iter().copied().collect();
    let known = named.iter().filter(|line| subject.line_numbers.contains(line)).count();
    let held = !named.is_empty() && known == named.len() && distinct.len() == named.len();
    draft.note(
        Code::MalformedProposal,
        "lines",
        held,
        Said::text(format!("{} lines, {known} of them in the order", named.len())),
        Said::Word("lines of the order, each once"),
    );
}

fn land_hold(
    grant: &Grant,
    hold: &Hold,
    subject: &Subject,
    counters: &Counters,
    now: Instant,
    draft: &mut Draft,
) -> Landing {
    // Check: the grant allows holds at all.
    let ceiling = grant.hold.as_ref().zip(grant.hold_queue());
    note_rung(grant, Rung::Hold, ceiling.is_some(), draft);
    let Some((ceiling, queue)) = ceiling else {
        return fall_from_hold(grant, Code::RungNotGranted, subject, counters, now, draft);
    };

    // Check: the order's value. It has no smaller version, so beyond it the hold falls.
    if !note_value("order_value_max_minor", ceiling.order_value_max, subject, draft) {
        return fall_from_hold(grant, Code::ValueBeyondCeiling, subject, counters, now, draft);
    }

    // Check: how long.
    let within = hold.minutes <= ceiling.minutes_max;
    let (found, required) = (Said::whole(hold.minutes), Said::OrLess(ceiling.minutes_max.into()));
    let code = Code::MinutesBeyondCeiling;
    draft.note(code, "hold_minutes_max", within, found, required);
    let (minutes, code) = match grant.beyond {
        _ if within => (hold.minutes, Code::Granted),
        Beyond::Narrow => (ceiling.minutes_max, Code::MinutesNarrowed),
        Beyond::Fall | Beyond::Refuse => return fall_from_hold(grant, code, subject, counters, now, draft),
    };

    // Check: the budgets, with this hold counted in.
    let until = ends(now, minutes);
    let effect = Effect::Hold { scope: hold.scope.clone(), minutes, until, queue: queue.clone() };
    if !note_budgets(ceiling, subject, counters, draft) {
        return spent(grant, effect, minutes, until);
    }
    draft.reserve(Reserve {
        per_hour_max: ceiling.holds_per_hour_max,
        held_share: ceiling.held_share,
        value_held_per_day_max_minor: ceiling.value_held_per_day_max_minor,
    });
    Ok(Landed::at(effect, code))
}

fn land_route(
    grant: &Grant,
    queue: &String,
    subject: &Subject,
    counters: &Counters,
    now: Instant,
    draft: &mut Draft,
) -> Landing {
    // Check: the grant allows routes.
    note_rung(grant, Rung::Route, grant.route.is_some(), draft);
    let Some(ceiling) = &grant.route else {
        return fall_to_review(grant, Code::RungNotGranted);
    };

    // Check: the queue is one of the grant's.
    if !note_queue(grant, queue, draft) {
        return Err(Code::QueueNotGranted);
    }

    // Check: the order's value, and the budget with this route counted in. A route
    // is no suspicion, so without a budget it falls; it is not kept by the host.
    if !note_value("route_value_max_minor", ceiling.order_value_max, subject, draft) {
        return fall_to_review(grant, Code::ValueBeyondCeiling);
    }
    if !take_route_budget(ceiling, counters, draft) {
        return fall_to_review(grant, Code::BudgetSpentReleased);
    }
    Ok(Landed::at(route_effect(ceiling, queue, now), Code::Granted))
}

fn land_recommendation(grant: &Grant, what: &Recommendation, draft: &mut Draft) -> Landing {
    // Check: the grant allows recommendations; there is no lower rung to fall to.
    let allowed = grant.may.contains(&Rung::Recommend);
    note_rung(grant, Rung::Recommend, allowed, draft);
    if !allowed {
        return Err(Code::RungNotGranted);
    }

    // Check: the kind is one of the grant's.
    let kind = RecommendKind::of(what);
    let held = kind.is_some_and(|kind| grant.recommend.contains(&kind));
    let found = kind.map_or("a kind without a word here", RecommendKind::as_str);
    let required = Said::Text(Arc::clone(&grant.words.recommend));
    let code = Code::RecommendationNotGranted;
    if !draft.note(code, "recommend", held, Said::Word(found), required) {
        return Err(code);
    }

    // Check: a queue that it names is one of the grant's.
    if let Recommendation::Review(queue) | Recommendation::Disposition(queue) = what
        && !note_queue(grant, queue, draft)
    {
        return Err(Code::QueueNotGranted);
    }
    Ok(Landed::at(Effect::Recommend(what.clone()), Code::Granted))
}

/// Where a hold lands that is beyond a ceiling: the next rung below whose own
/// ceilings allow it, in the fallback queue; nowhere when the grant says so.
fn fall_from_hold(
    grant: &Grant,
    code: Code,
    subject: &Subject,
    counters: &Counters,
    now: Instant,
    draft: &mut Draft,
) -> Landing {
    if let (Beyond::Narrow | Beyond::Fall, Some(ceiling), Some(queue)) =
        (grant.beyond, &grant.route, &grant.fallback_queue)
        && note_value("route_value_max_minor", ceiling.order_value_max, subject, draft)
    {
        let effect = route_effect(ceiling, queue, now);
        if take_route_budget(ceiling, counters, draft) {
            return Ok(Landed::at(effect, Code::FellBelowCeiling));
        }
        // Where holds are granted this was a suspicion, and the grant has a word for it.
        if grant.hold.is_some() {
            return spent(grant, effect, ceiling.minutes_max, ends(now, ceiling.minutes_max));
        }
    }
    fall_to_review(grant, code)
}

/// The last rung of a fall: people are told and the order goes on.
fn fall_to_review(grant: &Grant, code: Code) -> Landing {
    match (grant.beyond, &grant.fallback_queue) {
        (Beyond::Narrow | Beyond::Fall, Some(queue)) if grant.recommend.contains(&RecommendKind::Review) => {
            let effect = Effect::Recommend(Recommendation::Review(queue.clone()));
            Ok(Landed::at(effect, Code::FellBelowCeiling))
        }
        _ => Err(code),
    }
}

/// What becomes of an order that would be kept if there were a budget: the host
/// keeps it for as long. INVARIANT: only the grant's own word `release` lets it pass.
fn spent(grant: &Grant, permit: Effect, minutes: u32, until: Instant) -> Landing {
    let then = grant.hold.as_ref().map(|ceiling| ceiling.budget_spent);
    match (then, grant.hold_queue()) {
        (Some(BudgetSpent::Queue), Some(queue)) => {
            let effect = Effect::Route { queue: queue.clone(), minutes, until };
            Ok(Landed { effect, code: Code::BudgetSpentQueued, permit })
        }
        _ => Err(Code::BudgetSpentReleased),
    }
}

fn route_effect(ceiling: &RouteCeiling, queue: &str, now: Instant) -> Effect {
    let minutes = ceiling.minutes_max;
    Effect::Route { queue: queue.to_owned(), minutes, until: ends(now, minutes) }
}

fn ends(now: Instant, minutes: u32) -> Instant {
    now.plus_ms(i64::from(minutes) * Instant::MINUTE_MS)
}

fn note_rung(grant: &Grant, rung: Rung, held: bool, draft: &mut Draft) {
    let required = Said::Text(Arc::clone(&grant.words.may));
    draft.note(Code::RungNotGranted, "may", held, Said::Word(rung.as_str()), required);
}

fn note_value(name: &'static str, most: Money, subject: &Subject, draft: &mut Draft) -> bool {
    let comparable = subject.value.currency == most.currency;
    let within = comparable && subject.value.minor <= most.minor;
    let (found, required) = (Said::Amount(subject.value), Said::AmountOrLess(most));
    draft.note(Code::ValueBeyondCeiling, name, within, found, required)
}

fn note_queue(grant: &Grant, queue: &String, draft: &mut Draft) -> bool {
    let (found, required) = (Said::text(shown(queue)), Said::Text(Arc::clone(&grant.words.queues)));
    draft.note(Code::QueueNotGranted, "queues", grant.queues.contains(queue), found, required)
}

fn note_budgets(ceiling: &HoldCeiling, subject: &Subject, counters: &Counters, draft: &mut Draft) -> bool {
    let most = ceiling.holds_per_hour_max;
    let mut within = note_per_hour("holds_per_hour_max", "holds and this one", counters.holds_last_hour, most, draft);
    if let Some(most) = ceiling.value_held_per_day_max_minor {
        // An order below nothing must not refill the budget, so it counts as nothing.
        let total = counters.value_held_today_minor.max(0).checked_add(subject.value.minor.max(0));
        let held = total.is_some_and(|total| total <= most);
        let found = total.map_or(Said::Word("more than can be counted"), |total| {
            Said::Counted(total, "minor units with this order")
        });
        within &= draft.note_budget("value_held_per_day_max_minor", held, found, Said::OrLess(most));
    }
    if let Some(share) = ceiling.held_share {
        let (holds, orders) = (counters.holds_last_hour, counters.orders_last_hour.saturating_add(1));
        let most = share.holds_max(orders);
        let found = Said::text(format!("{holds} holds and this one, of {orders} orders"));
        let (max_bp, floor) = (share.max_bp, share.floor);
        let required = Said::text(format!("{most} or less, which is {max_bp} in 10000 and {floor} at least"));
        within &= draft.note_budget("held_share_max_bp", holds < most, found, required);
    }
    within
}

fn take_route_budget(ceiling: &RouteCeiling, counters: &Counters, draft: &mut Draft) -> bool {
    let most = ceiling.routes_per_hour_max;
    let within = note_per_hour("routes_per_hour_max", "routes and this one", counters.routes_last_hour, most, draft);
    if within {
        draft.reserve(Reserve { per_hour_max: most, held_share: None, value_held_per_day_max_minor: None });
    }
    within
}

fn note_per_hour(name: &'static str, what: &'static str, used: u32, most: u32, draft: &mut Draft) -> bool {
    draft.note_budget(name, used < most, Said::Counted(used.into(), what), Said::OrLess(most.into()))
}

/// A fact of the question to Cedar: of those that every action has, and of the effect's own.
fn fact<'a>(
    name: &str,
    effect: &'a Effect,
    advice: &Advice<'_>,
    subject: &'a Subject,
    counters: &Counters,
) -> Option<Fact<'a>> {
    Some(match (name, effect) {
        ("order_value_minor", _) => Fact::Whole(subject.value.minor),
        ("currency", _) => Fact::Text(subject.value.currency.code()),
        ("channel", _) => Fact::Text(subject.channel.as_str()),
        ("score_bp", _) => Fact::Whole(i64::from(advice.score_bp)),
        ("holds_last_hour", _) => Fact::Whole(i64::from(counters.holds_last_hour)),
        ("routes_last_hour", _) => Fact::Whole(i64::from(counters.routes_last_hour)),
        ("orders_last_hour", _) => Fact::Whole(i64::from(counters.orders_last_hour)),
        ("value_held_today_minor", _) => Fact::Whole(counters.value_held_today_minor),
        ("customer_class", _) => Fact::Text(subject.customer_class.as_deref()?),
        ("ship_country", _) => Fact::Text(subject.ship_country.as_deref()?),
        ("minutes", Effect::Hold { minutes, .. }) => Fact::Whole(i64::from(*minutes)),
        ("whole_order", Effect::Hold { scope, .. }) => Fact::Flag(*scope == HoldScope::Order),
        (
            "queue",
            Effect::Hold { queue, .. }
            | Effect::Route { queue, .. }
            | Effect::Recommend(Recommendation::Review(queue) | Recommendation::Disposition(queue)),
        ) => Fact::Queue(queue),
        ("kind", Effect::Recommend(what)) => Fact::Text(RecommendKind::of(what)?.as_str()),
        _ => return None,
    })
}

fn date_text(date: &DateProposal) -> String {
    format!("{} in {} to {}", date.date, date.earliest, date.latest)
}

/// Precedence is the files' order, so the digest depends on it; names of files do
/// not decide anything and are left out.
fn digest(grants: &[SourceFile<'_>], policies: &[SourceFile<'_>]) -> Digest {
    let mut parts: Vec<&[u8]> = vec![b"portreeve authority", SCHEMA.as_bytes(), b"grants"];
    parts.extend(grants.iter().map(|file| file.text.as_bytes()));
    parts.push(b"policies");
    parts.extend(policies.iter().map(|file| file.text.as_bytes()));
    Digest::of_parts(&parts)
}

//! Conditions in Cedar: loading them strictly, and asking one question.
//!
//! Cedar skips a policy that errs, even a `forbid`: an overflow in the policy that
//! should stop a hold would let the hold through. So any error in an answer is a
//! refusal here, whatever the decision says. To keep such errors rare, policies are
//! validated strictly against the schema beside this file when they are loaded, and
//! a warning (a policy that can never apply) is an error too.
//!
//! ```cedar
//! @id("fraud-holds")
//! permit (principal == Plugin::"fraud", action == Action::"hold", resource)
//! when { context.score_bp >= 8000 && context.minutes <= 2880 };
//! ```
//!
//! Every policy has an `@id`, which records and messages name: a position in a file
//! changes with every edit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, EntityId, EntityTypeName, EntityUid, Policy,
    PolicyId, PolicySet, PrincipalConstraint, Request, ResourceConstraint, RestrictedExpression, Schema,
    ValidationMode, Validator,
};
use miette::Diagnostic;
use portreeve_model::{OrderId, PluginName};

use crate::grant::Rung;
use crate::known::Known;
use portreeve_model::strict::{Lines, LoadError, Problems, SourceFile};

/// Entity types, actions and their contexts.
pub(crate) const SCHEMA: &str = include_str!("policy.cedarschema");

/// All policies, validated.
#[derive(Debug)]
pub(crate) struct Policies {
    set: PolicySet,
    /// Those that may be about a plugin and an action, by their heads. Cedar evaluates each
    /// policy of a set for each question, and one whose head is about something else can
    /// neither apply nor err: leaving it out changes no answer.
    about: BTreeMap<PluginName, BTreeMap<Rung, About>>,
    authorizer: Authorizer,
    /// None has attributes or parents here.
    entities: Entities,
    schema: Schema,
    names: Names,
}

/// What is evaluated when a plugin's action is asked about.
#[derive(Debug)]
struct About {
    /// The two in Cedar's words.
    plugin: EntityUid,
    action: EntityUid,
    policies: PolicySet,
    /// The facts that they read; none where that cannot be told, and they get all. Each fact of
    /// a context is an expression of Cedar's, made and unmade for each question.
    reads: Option<BTreeSet<String>>,
    /// What they said before; none where they read something else than facts.
    said: Option<Answers>,
}

/// Answers that were given, by the facts that were read. To the same facts policies say the
/// same, whichever order they are about, unless they err. Most policies read few
/// facts of few values (a queue, a kind, whether the whole order is meant), and looking an
/// answer up takes a tenth of what evaluating takes.
#[derive(Debug, Default)]
struct Answers(Mutex<HashMap<Vec<Option<Read>>, Answer>>);

/// Answers that are kept for a plugin's action. A plugin chooses its score and its minutes,
/// and one that never says the same twice must fill no memory; then all are forgotten.
const ANSWERS_MAX: usize = 1_024;

/// The entity types, parsed once.
#[derive(Debug)]
struct Names {
    plugin: EntityTypeName,
    order: EntityTypeName,
    queue: EntityTypeName,
    action: EntityTypeName,
}

/// What is asked: may this plugin do this to this order, in this context?
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) plugin: &'a PluginName,
    pub(crate) action: Rung,
    pub(crate) order: OrderId,
    /// A fact by its name; none where there is no such fact about it.
    pub(crate) fact: &'a dyn Fn(&str) -> Option<Fact<'a>>,
}

/// The facts that there may be, by their names in the schema.
pub(crate) const FACTS: [&str; 14] = [
    "order_value_minor",
    "currency",
    "channel",
    "score_bp",
    "holds_last_hour",
    "routes_last_hour",
    "orders_last_hour",
    "value_held_today_minor",
    "customer_class",
    "ship_country",
    "minutes",
    "whole_order",
    "queue",
    "kind",
];

/// A fact as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Read {
    Whole(i64),
    Text(Box<str>),
    Flag(bool),
    Queue(Box<str>),
}

impl From<Fact<'_>> for Read {
    fn from(fact: Fact<'_>) -> Self {
        match fact {
            Fact::Whole(number) => Self::Whole(number),
            Fact::Text(text) => Self::Text(text.into()),
            Fact::Flag(flag) => Self::Flag(flag),
            Fact::Queue(queue) => Self::Queue(queue.into()),
        }
    }
}

impl Answers {
    fn to(&self, facts: &[Option<Read>]) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(facts).cloned()
    }

    fn keep(&self, facts: Vec<Option<Read>>, answer: Answer) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(facts, answer);
    }
}

/// A value of the context.
#[derive(Clone, Copy)]
pub(crate) enum Fact<'a> {
    Whole(i64),
    Text(&'a str),
    Flag(bool),
    Queue(&'a str),
}

/// The answer, with the `@id`s of the policies behind it, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// At least one policy permits, none forbids, none erred.
    Permitted(Vec<String>),
    /// No policy permits, or the named ones forbid.
    Denied(Vec<String>),
    /// The named policies could not be evaluated; none named: the question itself could not.
    Erred(Vec<String>),
}

impl Policies {
    /// Parses and validates all files; none when something is wrong.
    pub(crate) fn load(files: &[SourceFile<'_>], known: &Known, problems: &mut Problems) -> Option<Self> {
        let (schema, names) = match (schema(), Names::parse()) {
            (Ok(schema), Some(names)) => (schema, names),
            (schema, _) => {
                let message = schema.err().unwrap_or_default();
                problems.push(syntax("policy.cedarschema", 1, message));
                return None;
            }
        };
        let before = problems.len();
        let validator = Validator::new(schema.clone());
        let mut set = PolicySet::new();
        for file in files {
            let lines = Lines::of(file.text);
            let Some(named) = parse(file, &lines, problems) else {
                continue;
            };
            validate(&validator, &named, file, &lines, problems);
            for policy in named.policies() {
                check_names(policy, &names, known, file, problems);
                if set.add(policy.clone()).is_err() {
                    tell(file, policy, "this `@id` is used a second time", problems);
                }
            }
        }
        if problems.len() > before {
            return None;
        }
        let about_one = |plugin: &PluginName, rung: Rung| {
            let policies = names.about(&set, plugin, rung)?;
            let (reads, said) = match facts_read(&policies) {
                Reads::Facts(reads) => (Some(reads), Some(Answers::default())),
                Reads::FactsAndOrder(reads) => (Some(reads), None),
                Reads::All => (None, None),
            };
            let (of, action) = names.scope(plugin, rung);
            Some((rung, About { plugin: of, action, policies, reads, said }))
        };
        let about = known.plugins.iter().map(|plugin| {
            let rungs = Rung::ALL.into_iter().map(|rung| about_one(plugin, rung)).collect::<Option<_>>()?;
            Some((plugin.clone(), rungs))
        });
        let about = about.collect::<Option<_>>()?;
        Some(Self { set, about, authorizer: Authorizer::new(), entities: Entities::empty(), schema, names })
    }

    /// Whether any policy permits a plugin to do this under some condition. A grant of
    /// something that none permits has no effect, and nobody would hear of it.
    pub(crate) fn could_permit(&self, plugin: &PluginName, action: Rung) -> bool {
        let (plugin, action) = self.names.scope(plugin, action);
        let mut permits = self.set.policies().filter(|policy| policy.effect() == Effect::Permit);
        permits.any(|policy| self.names.is_about(policy, &plugin, &action))
    }

    /// What the policies say, remembered where they said it to the same facts before. Default
    /// deny; an error of any kind is no permission.
    pub(crate) fn ask(&self, question: Question<'_>) -> Answer {
        let about = self.about(question);
        let known = about.and_then(|about| about.reads.as_ref().zip(about.said.as_ref()));
        let Some((reads, said)) = known else { return self.evaluate(question) };
        let facts: Vec<_> = reads.iter().map(|name| (question.fact)(name).map(Read::from)).collect();
        if let Some(answer) = said.to(&facts) {
            return answer;
        }
        let answer = self.evaluate(question);
        // Cedar also errs where the stack is short, and that is no answer to the facts.
        if !matches!(answer, Answer::Erred(_)) {
            said.keep(facts, answer.clone());
        }
        answer
    }

    fn about(&self, question: Question<'_>) -> Option<&About> {
        self.about.get(question.plugin).and_then(|rungs| rungs.get(&question.action))
    }

    /// The same, and Cedar is asked in any case.
    pub(crate) fn evaluate(&self, question: Question<'_>) -> Answer {
        debug_assert!(self.request(question, None, Some(&self.schema)).is_some(), "facts of other types");
        let about = self.about(question);
        let policies = about.map_or(&self.set, |about| &about.policies);
        let Some(request) = self.request(question, about, None) else {
            return Answer::Erred(Vec::new());
        };
        let response = self.authorizer.is_authorized(&request, policies, &self.entities);
        let diagnostics = response.diagnostics();

        // Check: no policy erred. Cedar would skip it, even if it forbids.
        let erred: BTreeSet<String> = diagnostics.errors().map(erring_policy).collect();
        if !erred.is_empty() {
            return Answer::Erred(erred.into_iter().collect());
        }

        // Check: a policy permits and none forbids.
        // An `@id` has nothing that would have to be escaped, which its `Display` looks for.
        let mut reasons: Vec<String> = diagnostics.reason().map(|id| AsRef::<str>::as_ref(id).to_owned()).collect();
        reasons.sort_unstable();
        match response.decision() {
            Decision::Allow => Answer::Permitted(reasons),
            Decision::Deny => Answer::Denied(reasons),
        }
    }

    /// The question in Cedar's words, with the facts that are read. The host makes facts of the
    /// schema's types and no others: a release build does not look at each again.
    fn request(&self, question: Question<'_>, about: Option<&About>, schema: Option<&Schema>) -> Option<Request> {
        let fact = |name: &str| {
            let fact = (question.fact)(name)?;
            Some((name.to_owned(), self.names.expression(fact)))
        };
        let context = match about.and_then(|about| about.reads.as_ref()) {
            Some(reads) => Context::from_pairs(reads.iter().filter_map(|name| fact(name))),
            None => Context::from_pairs(FACTS.into_iter().filter_map(fact)),
        };
        let (plugin, action) = match about {
            Some(about) => (about.plugin.clone(), about.action.clone()),
            None => self.names.scope(question.plugin, question.action),
        };
        let order = uid(&self.names.order, &question.order.to_string());
        Request::new(plugin, action, order, context.ok()?, schema).ok()
    }
}

impl Names {
    fn parse() -> Option<Self> {
        Some(Self {
            plugin: "Plugin".parse().ok()?,
            order: "Order".parse().ok()?,
            queue: "Queue".parse().ok()?,
            action: "Action".parse().ok()?,
        })
    }

    fn scope(&self, plugin: &PluginName, action: Rung) -> (EntityUid, EntityUid) {
        (uid(&self.plugin, plugin.as_str()), uid(&self.action, action.as_str()))
    }

    /// Whether a policy's head may be about a plugin's action; its conditions are another matter.
    fn is_about(&self, policy: &Policy, plugin: &EntityUid, action: &EntityUid) -> bool {
        let of_plugin = match policy.principal_constraint() {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Is(kind) => kind == self.plugin,
            // No entity has a parent here, so that what is in another one is that one.
            PrincipalConstraint::Eq(named) | PrincipalConstraint::In(named) => named == *plugin,
            PrincipalConstraint::IsIn(kind, named) => kind == self.plugin && named == *plugin,
        };
        let of_action = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(named) => named == *action,
            ActionConstraint::In(named) => named.contains(action),
        };
        of_plugin && of_action
    }

    /// None in practice: the policies were in one set before.
    fn about(&self, set: &PolicySet, plugin: &PluginName, action: Rung) -> Option<PolicySet> {
        let (plugin, action) = self.scope(plugin, action);
        let about = set.policies().filter(|policy| self.is_about(policy, &plugin, &action));
        PolicySet::from_policies(about.cloned()).ok()
    }

    fn expression(&self, fact: Fact<'_>) -> RestrictedExpression {
        match fact {
            Fact::Whole(number) => RestrictedExpression::new_long(number),
            Fact::Text(text) => RestrictedExpression::new_string(text.to_owned()),
            Fact::Flag(flag) => RestrictedExpression::new_bool(flag),
            Fact::Queue(queue) => RestrictedExpression::new_entity_uid(uid(&self.queue, queue)),
        }
    }
}

/// What policies read beside who asks for what.
enum Reads {
    /// These facts of the context.
    Facts(BTreeSet<String>),
    /// The same, and which order it is.
    FactsAndOrder(BTreeSet<String>),
    /// The context as a whole, or what cannot be told.
    All,
}

fn facts_read(policies: &PolicySet) -> Reads {
    let mut reads = BTreeSet::new();
    let mut order = false;
    for policy in policies.policies() {
        let Ok(json) = policy.to_json() else { return Reads::All };
        if uses_whole_context(&json, &mut reads) {
            return Reads::All;
        }
        order |= policy.resource_constraint() != ResourceConstraint::Any || uses_resource(&json);
    }
    if order { Reads::FactsAndOrder(reads) } else { Reads::Facts(reads) }
}

/// Whether an expression of Cedar's JSON form uses `resource` anywhere.
fn uses_resource(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(members) => {
            members.iter().any(|(key, value)| (key == "Var" && value == "resource") || uses_resource(value))
        }
        serde_json::Value::Array(items) => items.iter().any(uses_resource),
        _ => false,
    }
}

/// Collects what is read of the context in an expression of Cedar's JSON form: `.` and `has`
/// with `context` on their left. Whether it is used in any other way.
fn uses_whole_context(json: &serde_json::Value, reads: &mut BTreeSet<String>) -> bool {
    match json {
        serde_json::Value::Object(members) => members.iter().any(|(key, value)| {
            let of_context = value.get("left").is_some_and(is_context);
            match value.get("attr").and_then(serde_json::Value::as_str) {
                Some(attribute) if of_context && (key == "." || key == "has") => {
                    reads.insert(attribute.to_owned());
                    false
                }
                _ => (key == "Var" && value == "context") || uses_whole_context(value, reads),
            }
        }),
        serde_json::Value::Array(items) => items.iter().any(|item| uses_whole_context(item, reads)),
        _ => false,
    }
}

fn is_context(json: &serde_json::Value) -> bool {
    json.get("Var").is_some_and(|name| name == "context")
}

fn schema() -> Result<Schema, String> {
    Schema::from_cedarschema_str(SCHEMA).map(|(schema, _)| schema).map_err(|error| error.to_string())
}

fn uid(entity_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
}

fn erring_policy(error: &cedar_policy::AuthorizationError) -> String {
    match error {
        cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
    }
}

/// Parses one file and gives each policy its `@id` as its name.
fn parse(file: &SourceFile<'_>, lines: &Lines, problems: &mut Problems) -> Option<PolicySet> {
    let parsed: PolicySet = match file.text.parse() {
        Ok(parsed) => parsed,
        Err(errors) => {
            let errors: &cedar_policy::ParseErrors = &errors;
            for error in errors.iter() {
                problems.push_with(file.name, || syntax(file.name, diagnosed_line(lines, error), error.to_string()));
            }
            return None;
        }
    };
    if let Some(template) = parsed.templates().next() {
        let message = "a template is never linked here; write a policy without `?principal`";
        problems.push(syntax(file.name, snippet_line(file, &template.to_cedar()), message.to_owned()));
    }
    let mut named = PolicySet::new();
    for policy in parsed.policies() {
        match policy.annotation("id").filter(|id| is_id(id)) {
            None => tell(
                file,
                policy,
                "it has no `@id(\"…\")` of 1 to 64 lower-case letters, digits and dashes; add one above it",
                problems,
            ),
            Some(id) => {
                if named.add(policy.new_id(PolicyId::new(id))).is_err() {
                    tell(file, policy, "this `@id` is used a second time", problems);
                }
            }
        }
    }
    Some(named)
}

fn validate(validator: &Validator, set: &PolicySet, file: &SourceFile<'_>, lines: &Lines, problems: &mut Problems) {
    let result = validator.validate(set, ValidationMode::Strict);
    let errors =
        result.validation_errors().map(|error| (diagnosed_line(lines, error), error.policy_id(), error.to_string()));
    let warnings = result
        .validation_warnings()
        .map(|warning| (diagnosed_line(lines, warning), warning.policy_id(), warning.to_string()));
    let mut found: Vec<(usize, &PolicyId, String)> = errors.chain(warnings).collect();
    found.sort_by_key(|(line, ..)| *line);
    problems.extend(found.into_iter().map(|(line, id, message)| LoadError::Policy {
        file: file.name.to_owned(),
        line,
        id: id.to_string(),
        message,
    }));
}

/// Cedar accepts any id of an entity: a policy for `Queue::"fraud-reveiw"` would
/// validate and never match.
fn check_names(policy: &Policy, names: &Names, known: &Known, file: &SourceFile<'_>, problems: &mut Problems) {
    for entity in policy.entity_literals() {
        let id = entity.id().unescaped();
        let unknown = if *entity.type_name() == names.plugin {
            !known.plugins.iter().any(|plugin| plugin.as_str() == id)
        } else if *entity.type_name() == names.queue {
            !known.queues.contains(id)
        } else {
            false
        };
        if unknown {
            let message = format!("`{entity}` is not a name that the configuration knows");
            tell(file, policy, &message, problems);
        }
    }
}

fn is_id(id: &str) -> bool {
    PluginName::parse(id).is_ok()
}

fn syntax(file: &str, line: usize, message: String) -> LoadError {
    LoadError::Syntax { file: file.to_owned(), line, message }
}

/// Reports a problem of one policy. The policy has to be looked for in the file, which is
/// done only for what is told.
fn tell(file: &SourceFile<'_>, policy: &Policy, message: &str, problems: &mut Problems) {
    problems.push_with(file.name, || {
        let line = policy.to_cedar().map_or(1, |text| snippet_line(file, &text));
        LoadError::Policy { file: file.name.to_owned(), line, id: policy.id().to_string(), message: message.to_owned() }
    });
}

fn snippet_line(file: &SourceFile<'_>, snippet: &str) -> usize {
    let offset = file.text.find(snippet.trim()).unwrap_or(0);
    Lines::of(file.text).line(offset)
}

fn diagnosed_line(lines: &Lines, diagnostic: &dyn Diagnostic) -> usize {
    let offset = diagnostic.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    lines.line(offset)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const HEADS: &str = r#"
@id("any") permit (principal, action, resource) when { context.score_bp > 8000 };
@id("is") permit (principal is Plugin, action == Action::"route", resource);
@id("fraud-holds") permit (principal == Plugin::"fraud", action == Action::"hold", resource);
@id("margin-both") permit (principal == Plugin::"margin", action in [Action::"hold", Action::"route"], resource);
@id("no-holds") forbid (principal == Plugin::"margin", action == Action::"hold", resource)
when { context.order_value_minor > 100 };
@id("errs") forbid (principal == Plugin::"fraud", action == Action::"route", resource)
when { context.order_value_minor + 9223372036854775807 > 0 };
@id("optional") permit (principal == Plugin::"other", action == Action::"hold", resource)
when { context has customer_class && context.customer_class like "st*" && !context.whole_order };
@id("one-order") forbid (principal == Plugin::"other", action == Action::"route", resource)
when { resource == Order::"3f0c1b0a-5d7c-4c3e-9a52-6d1f0c7be2a4" };
@id("nested") forbid (principal == Plugin::"other", action == Action::"recommend", resource)
when { if [context.kind].contains("review") then context.channel == "edi" else false }
unless { context.holds_last_hour > 3 };
"#;

    const ONE: &str = "3f0c1b0a-5d7c-4c3e-9a52-6d1f0c7be2a4";
    const OTHER: &str = "9c5b1d0e-1f2a-4b3c-8d4e-5f6071829304";

    #[test]
    fn a_plugin_that_never_asks_the_same_twice_fills_no_memory() {
        let answers = Answers::default();
        let facts = |score: i64| vec![Some(Read::Whole(score)), None];
        for score in 0..3 * i64::try_from(ANSWERS_MAX).unwrap() {
            answers.keep(facts(score), Answer::Permitted(vec![score.to_string()]));
            assert_eq!(answers.to(&facts(score)), Some(Answer::Permitted(vec![score.to_string()])));
            assert!(answers.0.lock().unwrap().len() <= ANSWERS_MAX);
        }
        assert_eq!(answers.to(&[Some(Read::Text("9".into())), None]), None, "a text is no number");
    }

    #[test]
    fn a_policy_whose_head_is_about_something_else_and_a_fact_that_none_reads_change_no_answer() {
        let plugins = ["fraud", "margin", "other"].map(|name| PluginName::parse(name).unwrap());
        let known = Known { queues: BTreeSet::new(), plugins: plugins.clone().into() };
        let file = SourceFile { name: "policies.cedar", text: HEADS };
        let load = || Policies::load(&[file], &known, &mut Problems::new()).unwrap();
        let (indexed, all) = (load(), Policies { about: BTreeMap::new(), ..load() });
        let mut seen = BTreeSet::new();
        for plugin in &plugins {
            for action in Rung::ALL {
                // The second round meets what the first one was told, about another order.
                for (value, score_bp, order) in [
                    (50, 9_000, ONE),
                    (50, 100, ONE),
                    (5_000, 9_000, ONE),
                    (5_000, 100, ONE),
                    (50, 9_000, OTHER),
                    (50, 100, OTHER),
                    (5_000, 9_000, OTHER),
                    (5_000, 100, OTHER),
                ] {
                    let answer = |policies: &Policies| {
                        let order = OrderId::parse(order).unwrap();
                        let fact = |name: &str| match (name, action) {
                            ("order_value_minor", _) => Some(Fact::Whole(value)),
                            ("currency", _) => Some(Fact::Text("USD")),
                            ("channel", _) => Some(Fact::Text("edi")),
                            ("score_bp", _) => Some(Fact::Whole(score_bp)),
                            (
                                "holds_last_hour" | "routes_last_hour" | "orders_last_hour" | "value_held_today_minor",
                                _,
                            ) => Some(Fact::Whole(0)),
                            ("minutes", Rung::Hold) => Some(Fact::Whole(60)),
                            ("whole_order", Rung::Hold) => Some(Fact::Flag(true)),
                            ("queue", Rung::Hold | Rung::Route) => Some(Fact::Queue("fraud-review")),
                            ("kind", Rung::Recommend) => Some(Fact::Text("review")),
                            ("customer_class", _) if score_bp > 5_000 => Some(Fact::Text("standard")),
                            _ => None,
                        };
                        policies.ask(Question { plugin, action, order, fact: &fact })
                    };
                    let found = answer(&indexed);
                    assert_eq!(found, answer(&all), "{plugin} {action:?} {value} {score_bp}");
                    seen.insert(format!("{found:?}"));
                }
            }
        }
        let reads = |plugin: &PluginName, rung| {
            let reads = indexed.about.get(plugin).unwrap().get(&rung).unwrap().reads.clone().unwrap();
            reads.into_iter().collect::<Vec<_>>().join(" ")
        };
        let [fraud, margin, other] = &plugins;
        let remembers = |plugin: &PluginName, rung| {
            indexed
                .about
                .get(plugin)
                .unwrap()
                .get(&rung)
                .unwrap()
                .said
                .as_ref()
                .map(|said| said.0.lock().unwrap().len())
        };
        assert_eq!((remembers(other, Rung::Route), remembers(fraud, Rung::Hold)), (None, Some(2)));
        assert_eq!(reads(fraud, Rung::Hold), "score_bp");
        assert_eq!(reads(margin, Rung::Hold), "order_value_minor score_bp");
        assert_eq!(reads(other, Rung::Hold), "customer_class score_bp whole_order");
        assert_eq!(reads(other, Rung::Recommend), "channel holds_last_hour kind score_bp");
        let kinds =
            ["Permitted([\"any\"", "Permitted([\"is\"", "Denied([\"no-holds\"", "Denied([])", "Erred([\"errs\""];
        for kind in kinds {
            assert!(seen.iter().any(|answer| answer.starts_with(kind)), "no {kind} in {seen:?}");
        }
    }
}

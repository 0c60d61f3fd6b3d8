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

use std::collections::BTreeSet;

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, EntityId, EntityTypeName, EntityUid, Policy,
    PolicyId, PolicySet, PrincipalConstraint, Request, RestrictedExpression, Schema, ValidationMode, Validator,
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
    schema: Schema,
    names: Names,
}

/// The entity types, parsed once.
#[derive(Debug)]
struct Names {
    plugin: EntityTypeName,
    order: EntityTypeName,
    queue: EntityTypeName,
    action: EntityTypeName,
}

/// What is asked: may this plugin do this to this order, in this context?
pub(crate) struct Question<'a> {
    pub(crate) plugin: &'a PluginName,
    pub(crate) action: Rung,
    pub(crate) order: OrderId,
    pub(crate) facts: Vec<(&'static str, Fact)>,
}

/// A value of the context.
pub(crate) enum Fact {
    Whole(i64),
    Text(String),
    Flag(bool),
    Queue(String),
}

/// The answer, with the `@id`s of the policies behind it, sorted.
#[derive(Debug, PartialEq, Eq)]
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
        (problems.len() == before).then_some(Self { set, schema, names })
    }

    /// Whether any policy permits a plugin to do this under some condition. A grant of
    /// something that none permits has no effect, and nobody would hear of it.
    pub(crate) fn could_permit(&self, plugin: &PluginName, action: Rung) -> bool {
        let plugin = uid(&self.names.plugin, plugin.as_str());
        let action = uid(&self.names.action, action.as_str());
        self.set.policies().filter(|policy| policy.effect() == Effect::Permit).any(|policy| {
            let of_plugin = match policy.principal_constraint() {
                PrincipalConstraint::Any => true,
                PrincipalConstraint::Is(kind) => kind == self.names.plugin,
                // No entity has a parent here, so that what is in another one is that one.
                PrincipalConstraint::Eq(named) | PrincipalConstraint::In(named) => named == plugin,
                PrincipalConstraint::IsIn(kind, named) => kind == self.names.plugin && named == plugin,
            };
            let of_action = match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(named) => named == action,
                ActionConstraint::In(named) => named.contains(&action),
            };
            of_plugin && of_action
        })
    }

    /// Asks Cedar. Default deny; an error of any kind is no permission.
    pub(crate) fn ask(&self, question: Question<'_>) -> Answer {
        let Some(request) = self.request(question) else {
            return Answer::Erred(Vec::new());
        };
        let response = Authorizer::new().is_authorized(&request, &self.set, &Entities::empty());
        let diagnostics = response.diagnostics();

        // Check: no policy erred. Cedar would skip it, even if it forbids.
        let erred: BTreeSet<String> = diagnostics.errors().map(erring_policy).collect();
        if !erred.is_empty() {
            return Answer::Erred(erred.into_iter().collect());
        }

        // Check: a policy permits and none forbids.
        let reasons: BTreeSet<String> = diagnostics.reason().map(ToString::to_string).collect();
        let reasons = reasons.into_iter().collect();
        match response.decision() {
            Decision::Allow => Answer::Permitted(reasons),
            Decision::Deny => Answer::Denied(reasons),
        }
    }

    fn request(&self, question: Question<'_>) -> Option<Request> {
        let pairs = question.facts.into_iter().map(|(key, fact)| (key.to_owned(), self.names.expression(fact)));
        let context = Context::from_pairs(pairs).ok()?;
        Request::new(
            uid(&self.names.plugin, question.plugin.as_str()),
            uid(&self.names.action, question.action.as_str()),
            uid(&self.names.order, &question.order.to_string()),
            context,
            Some(&self.schema),
        )
        .ok()
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

    fn expression(&self, fact: Fact) -> RestrictedExpression {
        match fact {
            Fact::Whole(number) => RestrictedExpression::new_long(number),
            Fact::Text(text) => RestrictedExpression::new_string(text),
            Fact::Flag(flag) => RestrictedExpression::new_bool(flag),
            Fact::Queue(queue) => RestrictedExpression::new_entity_uid(uid(&self.queue, &queue)),
        }
    }
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

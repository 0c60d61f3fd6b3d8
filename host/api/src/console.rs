//! The page that people work on: a queue, one exception with its evidence beside what may be
//! decided, and what came of it. Plain HTML and forms; no script runs, and none is needed.
//!
//! ```text
//! sign in ─▶ queues ─▶ exception ─▶ claim, comment, decide, approve ─▶ the exception again
//!  cookie     GET         GET              POST, with the form's token      303
//! ```
//!
//! Dangers, and what stops them:
//!
//! - *What an order says.* A note may be markup, a name a script. Every text is escaped where
//!   the page is made (`maud` escapes all that it is given), and the policy in each answer lets
//!   nothing run and nothing load but the page's own style.
//! - *Another site's form.* A form is taken with a token that only a page of this session had,
//!   and never when the browser says that it comes from elsewhere.
//! - *Somebody else's frame.* No page is shown in one.
//! - *What stays in the browser.* Pages are not cached; the cookie is no script's to read, and
//!   goes nowhere but here.
//!
//! Nothing is decided here that the API does not decide: the same requests go the same way.

mod visit;

mod form;

mod page;

mod exception;

mod together;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use portreeve_model::Digest;
use portreeve_pipeline::exception::{ExceptionError, Outcome, Work};
use portreeve_pipeline::people::SignInError;
use portreeve_store::contract::ExceptionsWanted;
use serde::Deserialize;

use self::exception::{ALL, Evidence};
use self::form::Form;
use self::page::{Notice, QueuePage};
use self::visit::{Visit, Visitor};
use crate::Door;
use crate::exception::together::{TogetherRequest, TogetherStory};
use crate::exception::{self as api, DecisionRequest, Exception, ExceptionStory};
use crate::operator::to_its_end;
use crate::package::read;
use crate::problem::Problem;

/// Where it begins.
const HOME: &str = "/console/exceptions";

/// Where nobody is signed in yet.
const SIGN_IN: &str = "/console/sign-in";

/// Bytes of a form: a mended input is the longest. Only who is signed in sends one.
const FORM_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a name and a password, whoever sends them.
const SIGN_IN_BYTES_MAX: usize = 4 * 1024;

/// The word in the address of a form that releases all orders of a customer.
const RELEASE_TOGETHER: &str = "release-customer";

/// Rows of a queue on one page.
const ROWS: u32 = 50;

/// What a browser may do with a page: show it, style it, and send its forms here.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The routes of the page.
pub(crate) fn routes() -> Router<Arc<Door>> {
    Router::new()
        .route("/console", get(async || Redirect::to(HOME)))
        .route("/console/style.css", get(style))
        .route("/console/sign-in", get(show_sign_in).post(sign_in))
        .route("/console/sign-out", post(sign_out))
        .route("/console/exceptions", get(queue))
        .route("/console/exceptions/{exception}", get(show))
        .route("/console/exceptions/{exception}/customer", get(show_together))
        .route("/console/exceptions/{exception}/{act}", post(act))
        .layer(middleware::from_fn(guarded))
}

/// What each answer says to the browser, whatever it is.
async fn guarded(request: axum::extract::Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("console/style.css")).into_response()
}

// --- signing in ----------------------------------------------------------------------------------

async fn show_sign_in() -> Response {
    page::sign_in("", None).into_response()
}

async fn sign_in(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    if visit::comes_from_elsewhere(&headers) {
        return refused(&door, StatusCode::FORBIDDEN, visit::ELSEWHERE);
    }
    let form = match read(&door, body, SIGN_IN_BYTES_MAX).await {
        Ok(body) => Form::parse(&body),
        Err(problem) => return sorry(None, problem),
    };
    let (name, password) = (form.text("name"), form.text("password"));
    match door.front.pipeline.sign_in(name, password).await {
        Ok(opened) => {
            let cookie = visit::cookie(opened.token.reveal(), door.front.tls.is_some());
            ([(header::SET_COOKIE, cookie)], Redirect::to(HOME)).into_response()
        }
        Err(error) => {
            let status = match error {
                SignInError::Refused => StatusCode::UNAUTHORIZED,
                SignInError::Busy => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            if status == StatusCode::SERVICE_UNAVAILABLE {
                tracing::error!(%error, "somebody could not be signed in");
            }
            let said = if status == StatusCode::SERVICE_UNAVAILABLE {
                "the host cannot sign anybody in now; try again in a minute".to_owned()
            } else {
                error.to_string()
            };
            (status, page::sign_in(name, Some(&said))).into_response()
        }
    }
}

async fn sign_out(State(door): State<Arc<Door>>, visitor: Visitor, headers: HeaderMap, body: Body) -> Response {
    let Visitor(visit) = visitor;
    let form = match read(&door, body, SIGN_IN_BYTES_MAX).await {
        Ok(body) => Form::parse(&body),
        Err(problem) => return sorry(Some(&visit), problem),
    };
    if let Err(why) = visit.is_own(&headers, &form) {
        return refused(&door, StatusCode::FORBIDDEN, why);
    }
    if let Err(error) = door.front.pipeline.sign_out(&visit.person).await {
        tracing::error!(%error, "a session could not be ended");
        let why = "the session could not be ended; try again, or have it revoked";
        return refused(&door, StatusCode::SERVICE_UNAVAILABLE, why);
    }
    let cookie = visit::cookie("", door.front.tls.is_some());
    ([(header::SET_COOKIE, cookie)], Redirect::to(SIGN_IN)).into_response()
}

// --- looking -------------------------------------------------------------------------------------

/// What of the queues.
#[derive(Debug, Default, Deserialize)]
struct Shelf {
    queue: Option<String>,
    #[serde(default)]
    after: u64,
}

async fn queue(
    State(door): State<Arc<Door>>,
    visitor: Visitor,
    shelf: Result<Query<Shelf>, QueryRejection>,
) -> Response {
    let Visitor(visit) = visitor;
    // An address that says nothing sensible shows what no address would.
    let Query(shelf) = shelf.unwrap_or_default();
    match read_queue(&door, &visit, shelf).await {
        Ok(page) => page::queue(&visit, &page).into_response(),
        Err(problem) => sorry(Some(&visit), problem),
    }
}

async fn read_queue(door: &Door, visit: &Visit, shelf: Shelf) -> Result<QueuePage, Problem> {
    let pipeline = &door.front.pipeline;
    let own: Vec<String> = pipeline.people.queues_of(visit.person.actor()).into_iter().map(str::to_owned).collect();
    let all: Vec<String> = pipeline.people.queues().map(str::to_owned).collect();
    let queues = match &shelf.queue {
        Some(queue) => vec![queue.clone()],
        None => own.clone(),
    };
    let exceptions = if queues.is_empty() {
        Vec::new()
    } else {
        let wanted = ExceptionsWanted { queues, after: shelf.after, limit: ROWS, ..ExceptionsWanted::default() };
        pipeline.store.exceptions_wanted(wanted).await?
    };
    let full = exceptions.len() == usize::try_from(ROWS).unwrap_or(usize::MAX);
    let next = exceptions.last().filter(|_| full).map(|exception| exception.id);
    let now = pipeline.clock.now();
    let overdue = exceptions.iter().map(|exception| exception.due_at.is_some_and(|due| due <= now)).collect();
    Ok(QueuePage {
        own,
        all,
        chosen: shelf.queue,
        exceptions: exceptions.into_iter().map(|exception| Exception::of(exception, &pipeline.routes)).collect(),
        overdue,
        next,
    })
}

async fn show(
    State(door): State<Arc<Door>>,
    visitor: Visitor,
    exception: Result<Path<u64>, PathRejection>,
    done: Result<Query<Done>, QueryRejection>,
) -> Response {
    let Visitor(visit) = visitor;
    let Ok(Path(exception)) = exception else {
        return sorry(Some(&visit), Problem::not_found("this is no number of an exception"));
    };
    let notice = done.ok().and_then(|Query(done)| Notice::of(&done.done));
    shown(&door, &visit, exception, notice, StatusCode::OK, &Form::default()).await
}

/// What was just done, for the page that follows.
#[derive(Debug, Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

/// One exception, with what somebody typed where it has to be typed again.
async fn shown(
    door: &Door,
    visit: &Visit,
    exception: u64,
    notice: Option<Notice>,
    status: StatusCode,
    typed: &Form,
) -> Response {
    let pipeline = &door.front.pipeline;
    let read = async {
        // One look: the evidence is what the digest in the forms is of.
        let shown = pipeline.show_exception(exception).await?;
        let mut evidence = Evidence::read(pipeline, &shown).await?;
        evidence.others = pipeline.others_of_customer(&shown).await?;
        Ok::<_, ExceptionError>((ExceptionStory::tell(pipeline, shown).await?, evidence))
    };
    match read.await {
        Ok((story, evidence)) => {
            let queues: Vec<&str> = pipeline.people.queues().collect();
            (status, exception::page(visit, &story, &evidence, &queues, notice, typed)).into_response()
        }
        Err(error) => sorry(Some(visit), api::refusal(error)),
    }
}

async fn show_together(
    State(door): State<Arc<Door>>,
    visitor: Visitor,
    exception: Result<Path<u64>, PathRejection>,
) -> Response {
    let Visitor(visit) = visitor;
    let Ok(Path(exception)) = exception else {
        return sorry(Some(&visit), Problem::not_found("this is no number of an exception"));
    };
    shown_together(&door, &visit, exception, None, StatusCode::OK, &Form::default()).await
}

/// All orders of one customer that are kept back.
async fn shown_together(
    door: &Door,
    visit: &Visit,
    exception: u64,
    notice: Option<Notice>,
    status: StatusCode,
    typed: &Form,
) -> Response {
    let pipeline = &door.front.pipeline;
    let read = async {
        let group = pipeline.show_together(Some(&visit.person), exception).await?;
        let mut evidence = Vec::with_capacity(group.members.len());
        for member in &group.members {
            evidence.push(Evidence::read(pipeline, member).await?);
        }
        Ok::<_, ExceptionError>((TogetherStory::tell(pipeline, group).await?, evidence))
    };
    match read.await {
        Ok((story, evidence)) => (status, together::page(visit, &story, &evidence, notice, typed)).into_response(),
        // What came of it is told all the same, beside the one that was asked about.
        Err(_) if notice.is_some() => shown(door, visit, exception, notice, status, typed).await,
        Err(error) => sorry(Some(visit), api::refusal(error)),
    }
}

// --- acting --------------------------------------------------------------------------------------

async fn act(
    State(door): State<Arc<Door>>,
    visitor: Visitor,
    place: Result<Path<(u64, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Visitor(visit) = visitor;
    let form = match read(&door, body, FORM_BYTES_MAX).await {
        Ok(body) => Form::parse(&body),
        Err(problem) => return sorry(Some(&visit), problem),
    };
    if let Err(why) = visit.is_own(&headers, &form) {
        return refused(&door, StatusCode::FORBIDDEN, why);
    }
    let Ok(Path((exception, act))) = place else {
        return sorry(Some(&visit), Problem::not_found("there is nothing at this address"));
    };
    let (visit, form) = (Arc::new(visit), Arc::new(form));
    let work = {
        let (door, visit, form) = (Arc::clone(&door), Arc::clone(&visit), Arc::clone(&form));
        async move {
            let done = carry_out(&door, &visit, exception, &act, &form).await;
            door.wake();
            (done, act)
        }
    };
    let (done, act) = match to_its_end(work, "look at the exception before trying again").await {
        Ok(done) => done,
        Err(problem) => return sorry(Some(&visit), problem),
    };
    match done {
        Ok(notice) => Redirect::to(&format!("{HOME}/{exception}?done={}", notice.word())).into_response(),
        Err(problem) => {
            let (status, notice) = (problem.status(), Some(Notice::of_problem(&problem)));
            if act == RELEASE_TOGETHER {
                return shown_together(&door, &visit, exception, notice, status, &form).await;
            }
            shown(&door, &visit, exception, notice, status, &form).await
        }
    }
}

async fn carry_out(door: &Door, visit: &Visit, exception: u64, act: &str, form: &Form) -> Result<Notice, Problem> {
    let (pipeline, person) = (&door.front.pipeline, &visit.person);
    let work = match act {
        "claim" => Some((Work::Claim, Notice::Claimed)),
        "give-back" => Some((Work::GiveBack, Notice::GivenBack)),
        "assign" => Some((Work::Assign(form.text("to")), Notice::Assigned)),
        "comment" => Some((Work::Comment(form.text("words")), Notice::Commented)),
        _ => None,
    };
    if let Some((work, notice)) = work {
        pipeline.work_on_exception(person, exception, work).await.map_err(api::refusal)?;
        return Ok(notice);
    }
    let outcome = match act {
        "decide" => {
            let all = if form.all("hold").any(|hold| hold == ALL) {
                pipeline.show_exception(exception).await.map_err(api::refusal)?.open_holds()
            } else {
                Vec::new()
            };
            let request = decision(form, &all)?;
            let asked = request.read().map_err(Problem::bad_request)?;
            pipeline.decide_exception(person, asked.decision(exception, &request)).await
        }
        RELEASE_TOGETHER => {
            let request =
                TogetherRequest { shown: form.text("shown").to_owned(), reason: form.text("reason").to_owned() };
            let seen = request.read().map_err(Problem::bad_request)?;
            pipeline.decide_together(person, exception, seen, &request.reason).await
        }
        "approve" => pipeline.approve(person, exception, proposal(form)?).await,
        "refuse" => {
            pipeline.refuse(person, exception, proposal(form)?).await.map_err(api::refusal)?;
            return Ok(Notice::Refused);
        }
        _ => return Err(Problem::not_found("there is nothing at this address")),
    };
    match outcome.map_err(api::refusal)? {
        Outcome::Done { .. } | Outcome::Together { .. } => Ok(Notice::Decided),
        Outcome::Waits { .. } => Ok(Notice::Proposed),
    }
}

/// The same request as the API's, out of a form.
/// `all` are the holds that are open, where all are meant: what is open now and was not shown
/// is told by the digest of what was.
fn decision(form: &Form, all: &[u64]) -> Result<DecisionRequest, Problem> {
    let named = form.all("hold").filter(|hold| *hold != ALL).map(str::parse);
    let holds = named.chain(all.iter().copied().map(Ok)).collect::<Result<Vec<u64>, _>>();
    let action = form.text("action");
    let takes = |wanted: &str, field: &str| Some(form.text(field)).filter(|text| action == wanted && !text.is_empty());
    Ok(DecisionRequest {
        shown: form.text("shown").to_owned(),
        action: action.to_owned(),
        reason: form.text("reason").to_owned(),
        holds: match action {
            "release-holds" => holds.map_err(|_| Problem::bad_request("a hold is named by its number"))?,
            _ => Vec::new(),
        },
        queue: takes("reroute", "queue").map(str::to_owned),
        payload_hex: takes("resubmit", "payload").or_else(|| takes("correct", "corrections")).map(hex::encode),
    })
}

fn proposal(form: &Form) -> Result<Digest, Problem> {
    Digest::parse(form.text("proposal")).map_err(|error| Problem::bad_request(format!("the proposal: {error}")))
}

// --- refusals ------------------------------------------------------------------------------------

/// A page that says what was wrong, and leads back.
fn sorry(visit: Option<&Visit>, problem: Problem) -> Response {
    (problem.status(), page::sorry(visit, problem.detail())).into_response()
}

/// A form that is not taken.
fn refused(door: &Door, status: StatusCode, why: &str) -> Response {
    door.front.pipeline.metrics.refused("form");
    (status, page::sorry(None, why)).into_response()
}

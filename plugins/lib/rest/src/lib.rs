//! What the answers of a REST API mean to a connector that delivers.
//!
//! The danger is a second effect for one order: most targets ignore idempotency keys, and
//! an answer that got lost looks like one that says no. So each answer has one meaning, and
//! it is the same for every connector:
//!
//! ```text
//! 200 201        done
//! 400 409 422    refused, and stays so
//! 429            not processed: later
//! 5xx, 408, a lost connection   unknown: look it up before trying again, also
//!                after a 503 with Retry-After: a gateway says so when its
//!                upstream was slow, and the upstream may have worked
//! no connection  nothing was sent: later
//! other          permanent (wrong address, no permission)
//! ```
//!
//! A target that says more than these (a refusal for being there already, a 409 for a request
//! under way) reads its statuses itself, and has the words, waits and settings from here.
//!
//! And the settings that all of them have: `base-url`, and `answer-timeout-ms`, how long the
//! target may take to answer, 20000 unless set ([`Patience`]). The call's own limit, `wall_ms` of the
//! manifest and the grant, has to be longer: a call that is cut says nothing, not even that
//! the outcome is unknown. Credentials are the host's.
//!
//! And how a list is asked, again and again, for what changed since ([`Since`]).

mod date;
mod since;

use portreeve_sdk::failure::RETRY_MS;
use portreeve_sdk::http::{Request, Response};
use portreeve_sdk::types::{CheckReport, Failure, Setting, setting};
use serde::Deserialize;

pub use since::{FOR_GOOD, Since, TooMany};

/// The contract's longest wait: one day. A target could otherwise park an order
/// for ever with a header.
const RETRY_MS_MAX: u32 = 86_400_000;

/// Bytes of the target's words that a receipt or problem keeps.
const DETAIL_BYTES_MAX: usize = 512;

/// How long a target may take to answer. All requests of a call together, and what connecting
/// and the call itself take, have to be below `wall_ms` of the manifest.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Unless set.
    pub answer_ms: u32,
    /// The longest that may be set.
    pub answer_ms_max: u32,
}

/// That of a call with one request. Posting an order of many lines takes some targets seconds.
pub const PATIENCE: Patience = Patience { answer_ms: 20_000, answer_ms_max: 25_000 };

/// A target, in words for people.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// With its article, `the ERP`.
    pub name: &'static str,
    /// An address as `base-url` has it.
    pub example: &'static str,
    /// What to look at when it answers with something that no request should get.
    pub check: &'static str,
}

/// What a target said to something that it was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has done it.
    Done,
    /// It will not do it, now or later.
    Refused,
}

impl Target {
    /// The setting `base-url` without a slash at its end.
    ///
    /// # Errors
    /// When it is not set.
    pub fn base_url<'a>(&self, settings: &'a [Setting]) -> Result<&'a str, Failure> {
        setting(settings, "base-url").map(|url| url.trim_end_matches('/')).ok_or_else(|| {
            Failure::permanent(format!("setting `base-url` is missing; expected for example {}", self.example))
        })
    }

    /// What an answer to a POST means; `effect` is what may exist all the same.
    ///
    /// # Errors
    /// Whatever is neither done nor refused.
    pub fn answered(&self, response: &Response, effect: &str) -> Result<Answer, Failure> {
        match response.status {
            200 | 201 => Ok(Answer::Done),
            400 | 409 | 422 => Ok(Answer::Refused),
            429 => Err(Failure::Retry(wait(response))),
            status @ (408 | 500..=599) => {
                Err(Failure::unknown(format!("{} answered {status}; {effect} may exist all the same", self.name)))
            }
            status => Err(self.unusable(status)),
        }
    }

    /// Whether an answer to a GET tells anything.
    ///
    /// # Errors
    /// When it does not: later, or never.
    pub fn told(&self, response: &Response) -> Result<(), Failure> {
        match response.status {
            200 => Ok(()),
            408 | 429 | 500..=599 => Err(Failure::Retry(wait(response))),
            status => Err(self.unusable(status)),
        }
    }

    /// The report of a check: `does` is what the target does when all is well, `asked` what it
    /// was asked for.
    pub fn report<E: ToString>(&self, answer: Result<Response, E>, does: &str, asked: &str) -> CheckReport {
        let (ok, detail) = match answer {
            Ok(response) if response.is_success() => (true, format!("{} {does}", self.name)),
            Ok(response) => (false, format!("{} answered {} when asked for {asked}", self.name, response.status)),
            Err(error) => (false, error.to_string()),
        };
        CheckReport { ok, detail }
    }

    /// It answered with a status that no request should get.
    #[must_use]
    pub fn unusable(&self, status: u16) -> Failure {
        Failure::permanent(format!("{} answered {status}; check {}", self.name, self.check))
    }
}

/// A setting that is a whole number from 1 on.
///
/// # Errors
/// When it is set and none, or above `most`.
pub fn whole_number(settings: &[Setting], name: &str, unless_set: i64, most: i64) -> Result<i64, Failure> {
    let Some(text) = setting(settings, name) else { return Ok(unless_set) };
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Failure::permanent(format!("setting `{name}` is no whole number from 1 to {most}")))
}

/// The request with the time that the target has to answer it, the only one of its call.
///
/// # Errors
/// When the setting is no such time.
pub fn patient(request: Request, settings: &[Setting]) -> Result<Request, Failure> {
    PATIENCE.with(request, settings)
}

impl Patience {
    /// The request with the time that the target has to answer it.
    ///
    /// # Errors
    /// When the setting is no such time.
    pub fn with(self, mut request: Request, settings: &[Setting]) -> Result<Request, Failure> {
        let Self { answer_ms, answer_ms_max } = self;
        request.answer_timeout_ms = match setting(settings, "answer-timeout-ms") {
            None => answer_ms,
            Some(text) => text.parse().ok().filter(|ms| (1..=answer_ms_max).contains(ms)).ok_or_else(|| {
                Failure::permanent(format!(
                    "setting `answer-timeout-ms` is no whole number of milliseconds from 1 to {answer_ms_max}"
                ))
            })?,
        };
        Ok(request)
    }
}

/// Why a target refused, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its code, where it gives one.
    pub code: Option<String>,
    /// Code and sentence as one text that a record may keep.
    pub said: String,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

/// Reads `{"error":{"code":…,"message":…}}`, as far as it is there.
#[must_use]
pub fn refusal(response: &Response) -> Refusal {
    let body: Option<ErrorAnswer> = serde_json::from_slice(&response.body).ok();
    let (code, message) = body.map_or((None, None), |answer| (answer.error.code, answer.error.message));
    let said = match (&code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.clone(),
        (None, Some(message)) => message,
        (None, None) => "no reason given".to_owned(),
    };
    Refusal { code, said: shortened(&said).to_owned() }
}

/// The one effect among those that a target found.
///
/// # Errors
/// When there are several: taking the first would hide that it happened twice.
pub fn only<T>(found: Vec<T>, twice: impl FnOnce(usize, &T, &T) -> Failure) -> Result<Option<T>, Failure> {
    match found.as_slice() {
        [first, second, ..] => Err(twice(found.len(), first, second)),
        _ => Ok(found.into_iter().next()),
    }
}

/// When a request that was not processed is to be tried again, in milliseconds: `retry-after` in
/// seconds, or as a date. How far off a date is the answer's own `date` says, since a guest has no
/// clock and the target's may be another one; without that it says nothing.
#[must_use]
pub fn wait(response: &Response) -> u32 {
    response.retry_after_ms().or_else(|| until_date_ms(response)).unwrap_or(RETRY_MS).min(RETRY_MS_MAX)
}

/// From the answer's `date` to the date in `retry-after`; nothing where that is over.
fn until_date_ms(response: &Response) -> Option<u32> {
    let [until, now] = ["retry-after", "date"].map(|name| response.header(name).and_then(date::seconds));
    let seconds = until?.saturating_sub(now?).max(0);
    Some(u32::try_from(seconds.saturating_mul(1_000)).unwrap_or(RETRY_MS_MAX))
}

/// As much of a target's words as a record may keep.
#[must_use]
pub fn shortened(text: &str) -> &str {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use portreeve_sdk::http::{Method, Request};

    use super::*;

    const ERP: Target = Target { name: "the ERP", example: "https://erp.example", check: "base-url" };

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, headers, body: vec![] }
    }

    fn set(name: &str, value: &str) -> Vec<Setting> {
        vec![Setting { name: name.to_owned(), value: value.to_owned() }]
    }

    #[test]
    fn every_status_has_one_meaning_and_none_that_may_hide_an_effect_is_tried_again_blindly() {
        for status in 100..=599 {
            let meaning = ERP.answered(&answer(status, &[("retry-after", "7")]), "the order");
            match status {
                200 | 201 => assert_eq!(meaning.unwrap(), Answer::Done),
                400 | 409 | 422 => assert_eq!(meaning.unwrap(), Answer::Refused),
                429 => assert_eq!(meaning, Err(Failure::Retry(7_000))),
                408 | 500..=599 => assert!(matches!(meaning, Err(Failure::UnknownOutcome(_))), "{status}"),
                _ => assert!(matches!(meaning, Err(Failure::Permanent(_))), "{status}"),
            }
        }
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again_and_never_taken_for_a_no() {
        for status in 100..=599 {
            let told = ERP.told(&answer(status, &[]));
            match status {
                200 => told.unwrap(),
                408 | 429 | 500..=599 => assert_eq!(told, Err(Failure::Retry(RETRY_MS)), "{status}"),
                _ => assert!(matches!(told, Err(Failure::Permanent(_))), "{status}"),
            }
        }
    }

    #[test]
    fn no_target_parks_an_order_for_longer_than_a_day() {
        for (header, expected) in [("86401", RETRY_MS_MAX), ("4294968", RETRY_MS), ("soon", RETRY_MS), ("0", 0)] {
            assert_eq!(wait(&answer(429, &[("retry-after", header)])), expected, "{header}");
        }
    }

    #[test]
    fn a_date_to_come_back_at_counts_from_the_targets_own_clock() {
        let now = ("date", "Mon, 02 Mar 2026 23:59:30 GMT");
        for (until, expected) in [
            ("Tue, 03 Mar 2026 00:00:00 GMT", 30_000),
            ("Tuesday, 03-Mar-26 00:00:00 GMT", 30_000),
            ("Tue Mar  3 00:00:00 2026", 30_000),
            ("Mon, 02 Mar 2026 23:59:30 GMT", 0),
            ("Sun, 01 Mar 2026 00:00:00 GMT", 0),
            ("Thu, 05 Mar 2026 00:00:00 GMT", RETRY_MS_MAX),
            ("Tue, 03 Mar 9999 00:00:00 GMT", RETRY_MS_MAX),
            ("Tue, 03 Mar 2026 00:00:00 CET", RETRY_MS),
            ("Tue, 33 Mar 2026 00:00:00 GMT", RETRY_MS),
        ] {
            assert_eq!(wait(&answer(503, &[("retry-after", until), now])), expected, "{until}");
        }
        let alone = answer(503, &[("retry-after", "Tue, 03 Mar 2026 00:00:00 GMT")]);
        assert_eq!(wait(&alone), RETRY_MS, "nobody says how far off that is");
        assert_eq!(wait(&answer(503, &[("retry-after", "7"), now])), 7_000);
    }

    #[test]
    fn settings_that_mean_nothing_are_refused_in_words() {
        let request = || Request::json(Method::Post, "https://erp.example", vec![]);
        assert_eq!(patient(request(), &[]).unwrap().answer_timeout_ms, 20_000);
        let twice = Patience { answer_ms: 10_000, answer_ms_max: 15_000 };
        assert_eq!(twice.with(request(), &[]).unwrap().answer_timeout_ms, 10_000);
        assert_eq!(twice.with(request(), &set("answer-timeout-ms", "15000")).unwrap().answer_timeout_ms, 15_000);
        assert!(twice.with(request(), &set("answer-timeout-ms", "15001")).is_err());
        assert_eq!(patient(request(), &set("answer-timeout-ms", "25000")).unwrap().answer_timeout_ms, 25_000);
        for wrong in ["0", "25001", "-1", "1.5", "soon", ""] {
            assert!(patient(request(), &set("answer-timeout-ms", wrong)).is_err(), "{wrong}");
        }
        assert_eq!(ERP.base_url(&set("base-url", "https://a.example/v1//")).unwrap(), "https://a.example/v1");
        let Err(Failure::Permanent(why)) = ERP.base_url(&[]) else { unreachable!("no address") };
        assert_eq!(why, "setting `base-url` is missing; expected for example https://erp.example");
    }

    #[test]
    fn a_setting_is_a_whole_number_or_refused() {
        let number = |text: &str| whole_number(&set("poll-page", text), "poll-page", 50, 200);
        assert_eq!((whole_number(&[], "poll-page", 50, 200), number("1"), number("200")), (Ok(50), Ok(1), Ok(200)));
        for wrong in ["0", "201", "-1", "1.5", "many", "", "99999999999999999999"] {
            let Err(Failure::Permanent(why)) = number(wrong) else { unreachable!("{wrong}") };
            assert_eq!(why, "setting `poll-page` is no whole number from 1 to 200");
        }
    }

    #[test]
    fn a_check_reports_and_never_fails() {
        let report = |answer: Result<Response, &str>| ERP.report(answer, "is well", "its health");
        let told = [Ok(answer(204, &[])), Ok(answer(401, &[])), Err("nobody answers")].map(report);
        assert_eq!(told.each_ref().map(|report| report.ok), [true, false, false]);
        let words = ["the ERP is well", "the ERP answered 401 when asked for its health", "nobody answers"];
        assert_eq!(told.map(|report| report.detail), words);
    }

    #[test]
    fn the_second_of_two_effects_is_never_hidden_by_the_first() {
        let twice = |count: usize, first: &u8, second: &u8| Failure::permanent(format!("{count}: {first}, {second}"));
        assert_eq!(only(vec![], twice), Ok(None));
        assert_eq!(only(vec![1], twice), Ok(Some(1)));
        assert_eq!(only(vec![1, 2, 3], twice), Err(Failure::permanent("3: 1, 2")));
    }

    #[test]
    fn a_targets_words_are_cut_between_characters() {
        let refused = |body: &str| refusal(&Response { body: body.as_bytes().to_vec(), ..answer(422, &[]) }).said;
        assert_eq!(refused(r#"{"error":{"code":"a","message":"b"}}"#), "a: b");
        assert_eq!(refused(r#"{"error":{"message":"b"}}"#), "b");
        for body in ["", "<html>", "{}", r#"{"error":{}}"#, r#"{"error":{"code":1}}"#] {
            assert_eq!(refused(body), "no reason given", "{body}");
        }
        let long = refused(&format!(r#"{{"error":{{"message":"x{}"}}}}"#, "ä".repeat(DETAIL_BYTES_MAX)));
        assert_eq!(long.len(), DETAIL_BYTES_MAX - 1);
    }
}

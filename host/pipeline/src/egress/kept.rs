//! A secret is got once for everybody who waits for it, and kept: for long what is expensive to get (a
//! token, what a command says), for a second what stands in a file.
//!
//! The danger is whoever gives it being slow. A request that waits gives up long before,
//! and a delivery with it: so the asking is a task of its own, which no caller's end
//! cuts short, and what it gets is there for those who come back. No lock is held
//! meanwhile. Where there was no answer, everybody who waited hears so at once, and for a
//! while nobody asks again: one after the other would wait for the same silence.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portreeve_model::Instant;
use tokio::sync::watch;

use super::secret::{FILE_KEPT_MS, Secret};

/// How long asking may take: a command, a name server and a token server at their worst.
const ASKING_MAX: Duration = Duration::from_secs(25);

/// Nobody asks again for so long after there was no answer: when its deliveries come back.
pub(super) const FAILED_KEPT_MS: i64 = 5_000;

/// How much earlier than the time that something is kept from somebody may think it is.
const EARLY_MS: i64 = 1_000;

/// An expensive secret that came in the place of a refused one is not renewed for so long. A target
/// that answers every request with a 401 would have each of them ask for a token, and be
/// sent a second time, beside every rate that was set.
const RENEWED_KEPT_MS: i64 = 60_000;

/// Why there is no secret now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoSecret {
    /// One sentence.
    pub(super) why: String,
    /// When it is worth asking again, milliseconds from now.
    pub(super) after_ms: u64,
}

/// Nobody knows when there will be one.
impl From<String> for NoSecret {
    fn from(why: String) -> Self {
        Self { why, after_ms: FAILED_KEPT_MS.unsigned_abs() }
    }
}

/// A secret, or why there is none.
type Answer = Result<Secret, NoSecret>;

/// One secret, and whoever asks for it.
#[derive(Default)]
pub(super) struct Keeper {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<(Secret, Lasts)>,
    failed: Option<(NoSecret, Lasts)>,
    asking: Option<watch::Receiver<Option<Answer>>>,
    /// An expensive secret that is refused meanwhile stays all the same.
    renewed: Option<Lasts>,
}

/// A time that began then and lasts so many milliseconds. A clock that was set back makes none longer.
#[derive(Clone, Copy)]
struct Lasts {
    from: Instant,
    ms: i64,
}

impl Lasts {
    fn holds(self, now: Instant) -> bool {
        // Who looked at the clock before another one, and comes after it, is a little early.
        (-EARLY_MS..self.ms).contains(&now.0.saturating_sub(self.from.0))
    }
}

impl Keeper {
    /// The secret that is kept, or the answer of whoever asks now; `ask` begins where nobody
    /// does. It gives the secret and the milliseconds that it may be kept.
    pub(super) async fn current<F>(self: &Arc<Self>, now: Instant, ask: impl FnOnce() -> F) -> Answer
    where
        F: Future<Output = Result<(Secret, i64), NoSecret>> + Send + 'static,
    {
        let mut answer = match self.known(now, ask) {
            Ok(known) => return known,
            Err(asking) => asking,
        };
        // It ends without a word where the task panicked.
        let silence = || NoSecret::from("whoever asked for it gave up".to_owned());
        let answer = answer.wait_for(Option::is_some).await.map_err(|_| silence())?;
        answer.clone().unwrap_or_else(|| Err(silence()))
    }

    /// What is known already, or where the answer will be.
    fn known<F>(
        self: &Arc<Self>,
        now: Instant,
        ask: impl FnOnce() -> F,
    ) -> Result<Answer, watch::Receiver<Option<Answer>>>
    where
        F: Future<Output = Result<(Secret, i64), NoSecret>> + Send + 'static,
    {
        let mut state = self.state();
        if let Some((secret, _)) = state.kept.as_ref().filter(|(_, lasts)| lasts.holds(now)) {
            return Ok(Ok(secret.clone()));
        }
        // A task that panicked has left a channel that nobody writes to.
        if let Some(asking) = state.asking.as_ref().filter(|asking| asking.has_changed().is_ok()) {
            return Err(asking.clone());
        }
        if let Some((why, _)) = state.failed.as_ref().filter(|(_, lasts)| lasts.holds(now)) {
            return Ok(Err(why.clone()));
        }
        let (tell, hear) = watch::channel(None);
        state.asking = Some(hear.clone());
        let (keeper, asked) = (Arc::clone(self), ask());
        tokio::spawn(async move {
            let silence = || format!("there was no answer within {} seconds", ASKING_MAX.as_secs());
            let late = |_| Err(NoSecret::from(silence()));
            let answer = tokio::time::timeout(ASKING_MAX, asked).await.unwrap_or_else(late);
            let answer = keeper.keep(answer, now);
            // Nobody may wait any more.
            drop(tell.send(Some(answer)));
        });
        Err(hear)
    }

    fn keep(&self, answer: Result<(Secret, i64), NoSecret>, asked_at: Instant) -> Answer {
        let mut state = self.state();
        state.asking = None;
        let lasts = |ms| Lasts { from: asked_at, ms };
        match answer {
            Ok((secret, kept_ms)) => {
                (state.kept, state.failed) = (Some((secret.clone(), lasts(kept_ms))), None);
                Ok(secret)
            }
            Err(none) => {
                // Whoever knows that there will be one sooner is asked sooner.
                let kept_ms = i64::try_from(none.after_ms).map_or(FAILED_KEPT_MS, |ms| ms.min(FAILED_KEPT_MS));
                state.failed = Some((none.clone(), lasts(kept_ms)));
                Err(none)
            }
        }
    }

    /// The target refused this secret: it is kept no longer, unless it is expensive and has just come
    /// in the place of another one that was refused. Somebody else may have been faster, and what is
    /// kept then is another one.
    pub(super) fn refused(&self, secret: &Secret, now: Instant) {
        let mut state = self.state();
        let Some((_, lasts)) = state.kept.as_ref().filter(|(kept, _)| kept == secret) else { return };
        let is_expensive = lasts.ms > FILE_KEPT_MS;
        if is_expensive && state.renewed.is_some_and(|renewed| renewed.holds(now)) {
            return;
        }
        state.kept = None;
        if is_expensive {
            state.renewed = Some(Lasts { from: now, ms: RENEWED_KEPT_MS });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const NOW: Instant = Instant(1_000_000);

    /// Whoever gives secrets: how often it was asked, and when it answers.
    #[derive(Default)]
    struct Giver {
        asked: AtomicUsize,
        may_answer: Notify,
    }

    impl Giver {
        async fn ask(self: Arc<Self>, answer: Result<&'static str, &'static str>) -> Result<(Secret, i64), NoSecret> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.may_answer.notified().await;
            answer.map(|text| (Secret::new(text.into()), 60_000)).map_err(|why| NoSecret::from(why.to_owned()))
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn everybody_who_waits_has_the_answer_of_one_question_and_a_failure_is_not_asked_for_again_at_once() {
        let (keeper, giver) = (Arc::new(Keeper::default()), Arc::new(Giver::default()));
        let current = |now, answer| {
            let (keeper, giver) = (Arc::clone(&keeper), Arc::clone(&giver));
            async move { keeper.current(now, || giver.ask(answer)).await }
        };
        let waiting: Vec<_> = (0..100).map(|_| tokio::spawn(current(NOW, Err("it is down")))).collect();
        giver.may_answer.notify_one();
        for waits in waiting {
            assert_eq!(waits.await.unwrap().unwrap_err().why, "it is down");
        }
        assert_eq!(current(NOW.plus_ms(FAILED_KEPT_MS - 1), Ok("a")).await.unwrap_err().why, "it is down");
        assert_eq!(giver.asked(), 1);

        giver.may_answer.notify_one();
        assert_eq!(current(NOW.plus_ms(FAILED_KEPT_MS), Ok("a")).await.unwrap().bytes(), b"a");
        assert_eq!(current(NOW.plus_ms(FAILED_KEPT_MS), Ok("b")).await.unwrap().bytes(), b"a");
        assert_eq!(giver.asked(), 2);
        giver.may_answer.notify_one();
        assert_eq!(current(NOW.plus_ms(FAILED_KEPT_MS + 60_000), Ok("b")).await.unwrap().bytes(), b"b", "out of date");
    }

    #[tokio::test]
    async fn a_secret_that_came_for_a_refused_one_is_not_renewed_again_for_a_while() {
        let keeper = Arc::new(Keeper::default());
        let current = async |text: &'static str, now| {
            let ask = async move || Ok((Secret::new(text.into()), 3_600_000));
            keeper.current(now, ask).await.unwrap()
        };
        let first = current("a", NOW).await;
        keeper.refused(&first, NOW);
        let second = current("b", NOW).await;
        assert_eq!(second.bytes(), b"b");
        for now in [NOW, NOW.plus_ms(RENEWED_KEPT_MS - 1)] {
            keeper.refused(&second, now);
            assert_eq!(current("c", now).await, second);
        }
        keeper.refused(&second, NOW.plus_ms(RENEWED_KEPT_MS));
        assert_eq!(current("c", NOW.plus_ms(RENEWED_KEPT_MS)).await.bytes(), b"c");
    }

    #[tokio::test]
    async fn what_is_cheap_is_asked_for_again_each_time_that_it_is_refused() {
        let keeper = Arc::new(Keeper::default());
        for text in ["a", "a", "b"] {
            let ask = async move || Ok((Secret::new(text.into()), FILE_KEPT_MS));
            let secret = keeper.current(NOW, ask).await.unwrap();
            assert_eq!(secret.bytes(), text.as_bytes());
            keeper.refused(&secret, NOW);
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_keeps_nothing_for_longer() {
        let (keeper, earlier) = (Arc::new(Keeper::default()), NOW.plus_ms(-3_600_000));
        let current = async |answer: Result<&'static str, &'static str>, now| {
            let answer = answer.map(|text| (Secret::new(text.into()), 60_000));
            let answer = answer.map_err(|why| NoSecret::from(why.to_owned()));
            keeper.current(now, || std::future::ready(answer)).await.map(|secret| secret.bytes().to_vec())
        };
        current(Err("it is down"), NOW).await.unwrap_err();
        assert_eq!(current(Ok("a"), earlier).await.unwrap(), b"a");
        let later = NOW.plus_ms(3_600_000);
        assert_eq!(current(Ok("b"), later).await.unwrap(), b"b");
        keeper.refused(&Secret::new(b"b".to_vec()), later);
        assert_eq!(current(Ok("c"), NOW).await.unwrap(), b"c");
        keeper.refused(&Secret::new(b"c".to_vec()), NOW);
        assert_eq!(current(Ok("d"), NOW).await.unwrap(), b"d", "the renewal an hour later keeps nobody from this one");
    }

    #[tokio::test]
    async fn whoever_has_to_wait_hears_how_long_and_nobody_asks_before() {
        for (after_ms, asked_again_ms) in [(1_200, 1_200), (300_000, FAILED_KEPT_MS)] {
            let keeper = Arc::new(Keeper::default());
            let waits = NoSecret { why: "it had what it takes".to_owned(), after_ms };
            let told = waits.clone();
            let first = keeper.current(NOW, || async move { Err::<(Secret, i64), _>(told) }).await;
            assert_eq!(first.unwrap_err(), waits);
            let ask = || async { Ok::<_, NoSecret>((Secret::new(b"a".to_vec()), 60_000)) };
            assert_eq!(keeper.current(NOW.plus_ms(asked_again_ms - 1), ask).await.unwrap_err(), waits);
            assert_eq!(keeper.current(NOW.plus_ms(asked_again_ms), ask).await.unwrap().bytes(), b"a");
        }
    }

    #[tokio::test]
    async fn who_gives_up_waiting_stops_no_question() {
        let (keeper, giver) = (Arc::new(Keeper::default()), Arc::new(Giver::default()));
        let given_up = keeper.current(NOW, || Arc::clone(&giver).ask(Ok("a")));
        assert!(tokio::time::timeout(Duration::ZERO, given_up).await.is_err());
        giver.may_answer.notify_one();
        let secret = keeper.current(NOW, || Arc::clone(&giver).ask(Ok("b"))).await.unwrap();
        assert_eq!((secret.bytes(), giver.asked()), (b"a".as_slice(), 1));
    }

    #[tokio::test]
    async fn a_question_that_panics_is_asked_again() {
        let keeper = Arc::new(Keeper::default());
        let none = keeper.current(NOW, || async { panic!("on purpose") }).await.unwrap_err();
        assert!(none.why.contains("gave up"), "{none:?}");
        let secret = keeper.current(NOW, || async { Ok((Secret::new(b"a".to_vec()), 1)) }).await.unwrap();
        assert_eq!(secret.bytes(), b"a");
    }
}

//! Side by side, in order: work on a batch with a bounded number of tasks, and
//! get the results in the order of the batch whatever finished first.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// Runs `work` on every item, at most `workers` at once.
///
/// Each worker takes one item after the other: a task for each item would cost more
/// than many items do. An item whose work panics takes nothing with it: its place is
/// `None`, and another worker takes the panicked one's stead.
pub(crate) async fn in_order<I, T, F, W>(items: Vec<I>, workers: usize, work: W) -> Vec<Option<T>>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
    W: Fn(I) -> F + Send + Sync + 'static,
{
    let count = items.len();
    let results: Arc<Mutex<Vec<Option<T>>>> = Arc::new(Mutex::new(items.iter().map(|_| None).collect()));
    let waiting = Arc::new(Mutex::new(items.into_iter().enumerate()));
    let work = Arc::new(work);
    let mut running = JoinSet::new();
    let worker = || {
        let (waiting, results, work) = (Arc::clone(&waiting), Arc::clone(&results), Arc::clone(&work));
        async move {
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((index, item)) = next else { return };
                let result = work(item).await;
                if let Some(place) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                    *place = Some(result);
                }
            }
        }
    };
    for _ in 0..workers.clamp(1, count.max(1)) {
        running.spawn(worker());
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the road was cut short");
            running.spawn(worker());
        }
    }
    std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs `work` on one item as a task of its own; none when it panicked, which takes nothing
/// else with it.
pub(crate) async fn apart<I, T, F, W>(item: I, work: W) -> Option<T>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
    W: Fn(I) -> F + Send + Sync + 'static,
{
    in_order(vec![item], 1, work).await.pop().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_come_in_the_order_of_the_items_whatever_finishes_first() {
        for workers in [1, 2, 8] {
            let results = in_order((0..20_u32).collect(), workers, |n| async move {
                for _ in 0..(20 - n) {
                    tokio::task::yield_now().await;
                }
                n * 2
            })
            .await;
            assert_eq!(results, (0..20).map(|n| Some(n * 2)).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn an_item_whose_work_panics_takes_nothing_with_it() {
        for workers in [1, 3] {
            let results = in_order((0..9_u32).collect(), workers, |n| async move {
                assert!(n % 4 != 1, "the panic of this test");
                n
            })
            .await;
            assert_eq!(results, (0..9).map(|n| (n % 4 != 1).then_some(n)).collect::<Vec<_>>());
        }
    }
}

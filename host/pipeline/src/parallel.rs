//! Side by side, in order: work on a batch with a bounded number of tasks, and
//! get the results in the order of the batch whatever finished first.

use std::sync::Arc;

use tokio::task::JoinSet;

/// Runs `work` on every item, at most `workers` at once.
///
/// A task that panics takes nothing with it: its place is `None`.
pub(crate) async fn in_order<I, T, F, W>(items: Vec<I>, workers: usize, work: W) -> Vec<Option<T>>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
    W: Fn(I) -> F + Send + Sync + 'static,
{
    let work = Arc::new(work);
    let mut results: Vec<Option<T>> = items.iter().map(|_| None).collect();
    let mut waiting = items.into_iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < workers.max(1) {
            let Some((index, item)) = waiting.next() else { break };
            let work = Arc::clone(&work);
            running.spawn(async move { (index, work(item).await) });
        }
        match running.join_next().await {
            None => return results,
            Some(Ok((index, result))) => {
                if let Some(place) = results.get_mut(index) {
                    *place = Some(result);
                }
            }
            Some(Err(error)) => tracing::error!(%error, "a task of the road was cut short"),
        }
    }
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
}

//! Names to addresses, asked once per request.
//!
//! Whoever owns a name can change its answer between two questions. So nobody asks
//! twice: the addresses that were checked are the ones that are connected to.
//!
//! The attack on the host itself is a name server that does not answer: the machine's
//! resolver takes a thread of the runtime for each question and keeps it for half a minute,
//! whoever gave up meanwhile. The threads are few and shared with everything that reads
//! files, so questions have a part of them and no more.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Names that are looked up at the same time: an eighth of the runtime's 512 threads for
/// what blocks.
const RESOLVING_MAX: usize = 64;

/// How long a question waits for its turn: less than `http_connect_ms` is by default, so
/// that whoever asks hears why.
const RESOLVING_WAIT: Duration = Duration::from_millis(1_500);

/// Resolves names.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name, best first; never for a literal address. The future
    /// may be dropped.
    ///
    /// # Errors
    /// When there is no answer.
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// Too many questions are under way.
#[derive(Debug, thiserror::Error)]
#[error("{RESOLVING_MAX} names are being looked up and none of them was answered in time; look at the name servers")]
pub(super) struct TooMany;

/// The machine's own resolver, with its files and its cache.
#[derive(Clone)]
pub struct SystemResolver {
    look_up: fn(&str) -> std::io::Result<Vec<IpAddr>>,
    free: Arc<Semaphore>,
    wait: Duration,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { look_up, free: Arc::new(Semaphore::new(RESOLVING_MAX)), wait: RESOLVING_WAIT }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        // The dot makes it a whole name: no search domain of the machine is tried behind it.
        // Names without one are the machine's own, such as `localhost`.
        let name = if name.contains('.') { format!("{name}.") } else { name.to_owned() };
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.free).acquire_owned()).await;
        let turn = turn.map_err(|_| std::io::Error::other(TooMany))?.map_err(std::io::Error::other)?;
        let look_up = self.look_up;
        let answer = tokio::task::spawn_blocking(move || {
            // Taken along: its thread is free again only when there is an answer.
            let _turn = turn;
            look_up(&name)
        });
        answer.await.map_err(std::io::Error::other)?
    }
}

/// Asks the machine. Blocks.
fn look_up(name: &str) -> std::io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use super::*;

    /// A name server answers while nobody holds this.
    static SILENT: Mutex<()> = Mutex::new(());

    fn answers_when_it_may(_: &str) -> std::io::Result<Vec<IpAddr>> {
        drop(SILENT.lock().unwrap());
        Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
    }

    #[test]
    fn silent_name_servers_take_so_many_threads_and_the_next_question_hears_why() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let resolver =
            SystemResolver { look_up: answers_when_it_may, free: Arc::new(Semaphore::new(2)), wait: Duration::ZERO };
        let silent = SILENT.lock().unwrap();
        for _ in 0..2 {
            // Who gives up frees no thread.
            let given_up = async { tokio::time::timeout(Duration::ZERO, resolver.resolve("a.example")).await };
            assert!(runtime.block_on(given_up).is_err());
        }
        let refused = runtime.block_on(resolver.resolve("b.example")).unwrap_err();
        assert!(refused.to_string().contains("look at the name servers"), "{refused}");
        drop(silent);

        let patient = SystemResolver { wait: Duration::from_secs(60), ..resolver };
        let found = runtime.block_on(patient.resolve("c.example")).unwrap();
        assert_eq!(found, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
}

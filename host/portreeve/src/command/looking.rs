//! Where a command finds what it shows, and where it does what it is told to: at a running host,
//! which is asked, or in a data folder, which the command opens as it needs it. What is only looked
//! at is read there by the code that answers at the host's path.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portreeve_store::Store;
use serde::de::DeserializeOwned;

use super::Data;
use super::plugin::{Of, understood};
use crate::client::Server;
use crate::clock::SystemClock;
use crate::host::Host;

/// Where it is.
pub(super) enum Place<Folder> {
    /// In a data folder, which is open.
    Folder(Folder),
    /// At a running host.
    Host(Server),
}

/// Who was found that knows it.
pub(super) enum Found<T> {
    /// A running host, which said it.
    Told(T),
    /// Nobody but the folder: this is its host, which serves nobody.
    InFolder(Box<Host>),
}

impl Of {
    /// The running host that the command line names. Where it names none, the folder: `open` opens
    /// it, and opens nothing where a host is asked.
    pub(super) async fn place<Folder>(
        &self,
        open: impl Future<Output = anyhow::Result<Folder>>,
    ) -> anyhow::Result<Place<Folder>> {
        match self.running.server()? {
            Some(server) => Ok(Place::Host(server)),
            None => open.await.map(Place::Folder),
        }
    }

    /// What is typed behind a command that is told to somebody, so that it goes to the same place as
    /// this one. In a folder whoever acts has to say who, by names of his own.
    pub(super) fn typed(&self) -> String {
        match (&self.running.server, &self.running.token_file) {
            (Some(server), Some(file)) => format!("--server {} --token-file {}", word(server), path(file)),
            _ => format!("--data-dir {} --as NAME --key-file FILE", path(&self.data.data_dir)),
        }
    }

    /// The same of a folder of which the store is enough, to read it.
    pub(super) async fn store(&self) -> anyhow::Result<Place<Arc<dyn Store>>> {
        self.place(async { self.data.open().map(|(_, store)| store) }).await
    }

    /// Asks the running host that the command line names, at a path that changes nothing, or opens
    /// the folder.
    pub(super) async fn look<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Found<T>> {
        match self.place(self.data.to_look()).await? {
            Place::Host(server) => asked(&server, path).await.map(Found::Told),
            Place::Folder(host) => Ok(Found::InFolder(host)),
        }
    }
}

impl Data {
    /// The folder's host, open to read; it serves nobody.
    pub(super) async fn to_look(&self) -> anyhow::Result<Box<Host>> {
        let (locations, store) = self.open()?;
        Ok(Box::new(Host::open(store, &locations, Arc::new(SystemClock), None).await?))
    }
}

/// A path that is no text is shown as well as it can be.
fn path(file: &Path) -> String {
    let text = file.display().to_string();
    // Else it would be an option.
    word(&if text.starts_with('-') { format!("./{text}") } else { text })
}

/// One word for a shell, whatever is in the text.
fn word(text: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_./:@%+,".contains(character);
    let is_whole = !text.is_empty() && text.chars().all(is_plain);
    if is_whole { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A part of an address, whatever somebody typed.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What a running host says at a path that changes nothing.
pub(super) async fn asked<T: DeserializeOwned>(server: &Server, path: &str) -> anyhow::Result<T> {
    understood(&server.send(Method::GET, path, &[], Bytes::new()).await?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::command::Running;

    /// A folder that does not exist, or beside it a running host.
    fn named(folder: &Path, server: Option<&str>) -> Of {
        let token_file = server.map(|_| folder.join("token"));
        Of {
            data: Data { data_dir: folder.join("nowhere") },
            running: Running { server: server.map(str::to_owned), token_file },
        }
    }

    #[test]
    fn what_is_typed_behind_a_command_goes_to_the_same_place_through_a_shell() {
        let place = |folder: &str, server: Option<&str>| named(Path::new(folder), server).typed();
        assert_eq!(place("data", None), "--data-dir data/nowhere --as NAME --key-file FILE");
        assert_eq!(place("an old one's", None), r"--data-dir 'an old one'\''s/nowhere' --as NAME --key-file FILE");
        assert_eq!(place("-x", None), "--data-dir ./-x/nowhere --as NAME --key-file FILE");
        assert_eq!([word(""), word("=a")], ["''", "'=a'"]);
        let running = place("data", Some("http://127.0.0.1:9"));
        assert_eq!(running, "--server http://127.0.0.1:9 --token-file data/token");
    }

    #[tokio::test]
    async fn a_folder_is_opened_only_where_no_running_host_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "token").unwrap();
        let of = named(folder.path(), Some("http://127.0.0.1:9"));
        assert!(matches!(of.store().await, Ok(Place::Host(_))));
        let of = named(folder.path(), None);
        let refused = of.store().await.err().unwrap();
        assert!(refused.to_string().contains("holds no Portreeve data"), "{refused}");
        let opened = of.place(async { anyhow::Ok(7) }).await;
        assert!(matches!(opened, Ok(Place::Folder(7))));
    }
}

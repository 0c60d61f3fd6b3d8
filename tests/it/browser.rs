//! A real browser for the tests of pages: headless Chromium, driven as a person with
//! a keyboard would, or a person whose browser runs no scripts.
//!
//! ```text
//! test ─▶ Browser (one process, a profile of its own) ─▶ Page (a person: cookies of their own)
//!           │ keys.rs: what a key is
//!           │ page.rs: open, press, type, look, take pictures
//!           │ axe.rs:  what an automated check of accessibility finds
//!           └ wire.rs: Chromium's own protocol over two pipes
//! ```
//!
//! The protocol goes over pipes that Chromium is given at its start, so there is no port
//! to find, nobody else can connect, and Chromium ends with the process that drives it,
//! however that ends. It is also why there is no library here: NUL-terminated JSON needs
//! no WebSocket, and the known ones bring an HTTP client or 60,000 generated lines for the
//! dozen commands below.
//!
//! Every wait is for something that the browser says, and has a deadline. Where there is
//! no Chromium, [`browser_or_skip`] says so aloud, and fails where `CI` is `true`.

mod axe;
mod harness;
mod keys;
mod page;
mod wire;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

pub(crate) use page::{DESK, PHONE, Page};

use crate::support::{say, tree};
use wire::Wire;

/// How long anything may take. A machine that compiles beside the tests starts a browser
/// in ten seconds; what takes longer than this does not come.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What Chromium is called in the distributions.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Names the browser where it is called otherwise.
const CHOSEN: &str = "PORTREEVE_CHROMIUM";

/// How much of what Chromium wrote is kept to explain a failure.
const WRITTEN_BYTES_MAX: usize = 16 * 1024;

/// What Chromium is asked for: no window, nothing of an earlier run, no errands of its
/// own, and no way to anything but this machine.
const FLAGS: &[&str] = &[
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-service-autorun",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-gpu",
    // A container's shared memory is small.
    "--disable-dev-shm-usage",
    // A page from a tab's past has no load to wait for.
    "--disable-features=BackForwardCache,Translate,MediaRouter,OptimizationHints",
    // A key may come before the first frame is drawn.
    "--allow-pre-commit-input",
    "--hide-scrollbars",
    "--mute-audio",
    "--password-store=basic",
    "--lang=en-US",
];

/// One Chromium without a window; it ends with this value.
pub(crate) struct Browser {
    wire: Arc<Wire>,
    child: Child,
    /// Says when every process of it has let go of its standard error.
    gone: Receiver<()>,
    // Last: removed after everything that has files in it is gone.
    profile: TempDir,
}

/// A browser, or a loud word that the test that wants it is skipped.
pub(crate) async fn browser_or_skip() -> Option<Browser> {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let chosen = std::env::var_os(CHOSEN).map(PathBuf::from);
    let looked_for = chosen.as_ref().map_or_else(|| NAMES.join(", "), |chosen| chosen.display().to_string());
    let Some(program) = chromium(chosen, &search_path()) else {
        let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        skip(&format!(
            "SKIPPED: a test of a page was not run ({count} so far): no Chromium found (looked for {looked_for}); install Debian's package `chromium`, or let `{CHOSEN}` name a Chrome"
        ));
        return None;
    };
    Some(Browser::start(&program).await)
}

/// What cannot be tried is said, and is a failure where everything has to be there.
fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI is true, so nothing may be skipped. {why}");
    say(why);
}

fn search_path() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

/// The program that was chosen, or the first that has a known name. A choice that does
/// not exist is none: it would not be what was asked for.
fn chromium(chosen: Option<PathBuf>, path: &[PathBuf]) -> Option<PathBuf> {
    match chosen {
        Some(program) => program.is_file().then_some(program),
        None => NAMES.iter().flat_map(|name| path.iter().map(move |folder| folder.join(name))).find(|at| at.is_file()),
    }
}

/// A file for a picture that stays: below `target/screenshots`.
pub(crate) fn picture(name: &str) -> PathBuf {
    let folder = tree().target().join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.png"))
}

impl Browser {
    async fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = command(program, profile.path()).spawn().unwrap();
        let (written, gone) = written(child.stderr.take().unwrap());
        let wire = Wire::open(child.stdin.take().unwrap(), child.stdout.take().unwrap(), written);
        let browser = Self { wire: Arc::new(wire), child, gone, profile };
        // The first answer: it is there.
        browser.wire.ask("", "Browser.getVersion", json!({})).await;
        browser
    }

    /// An empty page of a person who has been nowhere yet: no cookies, desk width,
    /// scripts on. Another page is another person.
    pub(crate) async fn page(&self) -> Page {
        Page::new(Arc::clone(&self.wire)).await
    }

    /// The process that is Chromium.
    fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        // Its helpers end when they notice; only then nobody writes into the profile any more.
        if self.gone.recv_timeout(WAIT_MAX) == Err(RecvTimeoutError::Timeout) {
            say(&format!("Chromium's helpers go on; its profile may stay behind: {}", self.profile.path().display()));
        }
    }
}

/// Chromium speaks over descriptors 3 and 4, which a shell makes of the two that a child
/// always has: what Rust would need `unsafe` for.
fn command(program: &Path, profile: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh"]).arg(program).args(FLAGS);
    if rustix::process::geteuid().is_root() {
        // Chromium refuses to start as root with its own sandbox; only our pages are shown.
        command.arg("--no-sandbox");
    }
    command.arg(format!("--user-data-dir={}", profile.display()));
    for folder in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env(folder, profile);
    }
    command.env("TZ", "UTC").env_remove("CHROMIUM_FLAGS").env_remove("DBUS_SESSION_BUS_ADDRESS");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The end of what is written to standard error, and the news that nobody writes any more.
fn written(mut stderr: impl Read + Send + 'static) -> (Arc<Mutex<Vec<u8>>>, Receiver<()>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (ended, gone) = mpsc::channel::<()>();
    let keep = Arc::clone(&kept);
    thread::spawn(move || {
        let _ended = ended;
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            let mut kept = keep.lock().unwrap();
            kept.extend_from_slice(&buffer[..count]);
            let beyond = kept.len().saturating_sub(WRITTEN_BYTES_MAX);
            kept.drain(..beyond);
        }
    });
    (kept, gone)
}

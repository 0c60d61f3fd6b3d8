//! A page in a browser: what a person does with it, and what they see.
//!
//! What is read is read by scripts in a world of their own, which sees the document and
//! nothing of the page's scripts, and runs where those are switched off. Names and roles
//! are those of Chromium's accessibility tree: what a screen reader says.
//!
//! A method that cannot do its part panics with what it found instead: a test that
//! cannot go on has failed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, interval, timeout};

use super::WAIT_MAX;
use super::keys::Key;
use super::wire::Wire;

/// A screen: width and height in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// How wide.
    pub(crate) width: u32,
    height: u32,
    /// Reads `<meta name=viewport>`, as a phone does.
    mobile: bool,
}

/// A phone, upright.
pub(crate) const PHONE: Screen = Screen { width: 375, height: 812, mobile: true };

/// A screen on a desk.
pub(crate) const DESK: Screen = Screen { width: 1280, height: 900, mobile: false };

/// More than any page of ours has stops for the Tab key.
const TABS_MAX: usize = 300;

/// How often a page is looked at that is to change by itself.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The world in which a page is read.
const WORLD: &str = "tests";

/// What has the focus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Focused {
    /// `a`, `button`, `input`, …; `body` when nothing has it.
    pub(crate) tag: String,
    /// `link`, `button`, `textbox`, …, as assistive technology is told.
    pub(crate) role: String,
    /// The accessible name: a field's label, a link's words.
    pub(crate) name: String,
    /// What it shows, or what is written in it.
    pub(crate) text: String,
    /// Whether one sees that it has the focus: an outline or a shadow around it.
    pub(crate) ringed: bool,
}

impl Focused {
    fn is_nothing(&self) -> bool {
        self.tag == "body" || self.tag == "html"
    }
}

impl fmt::Display for Focused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} `{}`", if self.role.is_empty() { &self.tag } else { &self.role }, self.name)
    }
}

#[derive(Deserialize)]
struct Element {
    tag: String,
    text: String,
    ringed: bool,
}

/// A document that is wider than its screen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Overflow {
    /// How wide it is.
    pub(crate) width: u32,
    /// What sticks out, innermost first: tag, right edge, the beginning of its text.
    pub(crate) elements: Vec<String>,
}

/// What the browser said about a page, unasked.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Each document that has loaded.
    loaded: Vec<String>,
    status: u64,
    url: String,
    requests: Vec<String>,
    complaints: Vec<String>,
}

/// A page of a person with cookies of their own.
pub(crate) struct Page {
    wire: Arc<Wire>,
    session: String,
    /// Chromium's name for the page's outermost frame.
    frame: String,
    screen: Screen,
    /// Whether pages may run theirs.
    pub(super) scripts: bool,
    seen: watch::Receiver<Seen>,
}

impl Page {
    pub(super) async fn new(wire: Arc<Wire>) -> Self {
        let person = wire.ask("", "Target.createBrowserContext", json!({})).await;
        let page = json!({ "url": "about:blank", "browserContextId": person["browserContextId"] });
        let page = wire.ask("", "Target.createTarget", page).await;
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let session = word(&wire.ask("", "Target.attachToTarget", attach).await["sessionId"]);
        // The outermost frame of a page has the page's own id.
        let frame = word(&page["targetId"]);
        let seen = watch_over(&wire, &session, &frame);
        let mut page = Self { wire, session, frame, screen: DESK, scripts: true, seen };
        for domain in ["Page", "Network", "Runtime", "Log"] {
            page.command(&format!("{domain}.enable"), json!({})).await;
        }
        page.command("Page.setLifecycleEventsEnabled", json!({ "enabled": true })).await;
        // It behaves as the window in front, whichever other page there is.
        page.command("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        page.at_width(DESK).await;
        page
    }

    /// Goes to an address and waits until it has loaded.
    pub(crate) async fn open(&self, url: &str) {
        let gone = self.command("Page.navigate", json!({ "url": url })).await;
        if let Some(why) = gone["errorText"].as_str() {
            panic!("{url} does not open: {why}");
        }
        let document = word(&gone["loaderId"]);
        self.until(&format!("{url} to load"), |seen| seen.loaded.contains(&document)).await;
    }

    /// Presses keys, one after the other: `Tab`, `Shift+Tab`, `Enter`, `Space`, `a`;
    /// several with blanks between them. What they set off may still be under way.
    pub(crate) async fn press(&self, keys: &str) {
        for key in keys.split_whitespace() {
            self.strike(&Key::named(key)).await;
        }
    }

    /// The same, and waits until the page that this leads to has loaded.
    pub(crate) async fn press_and_load(&self, keys: &str) {
        let before = self.seen.borrow().loaded.len();
        self.press(keys).await;
        self.until(&format!("`{keys}` to lead to a page"), |seen| seen.loaded.len() > before).await;
    }

    /// Types a text, key by key.
    pub(crate) async fn type_text(&self, text: &str) {
        for character in text.chars() {
            self.strike(&Key::of(character)).await;
        }
    }

    async fn strike(&self, key: &Key) {
        for event in key.events() {
            self.command("Input.dispatchKeyEvent", event).await;
        }
    }

    /// What has the focus.
    pub(crate) async fn focused(&self) -> Focused {
        let context = self.world().await;
        let active = json!({ "functionDeclaration": "() => document.activeElement ?? document.documentElement", "executionContextId": context });
        let active = self.command("Runtime.callFunctionOn", active).await["result"]["objectId"].clone();
        let element = json!({ "objectId": active, "functionDeclaration": ELEMENT, "returnByValue": true });
        let element = self.command("Runtime.callFunctionOn", element).await["result"]["value"].clone();
        let element: Element = serde_json::from_value(element).unwrap();
        let spoken = json!({ "objectId": active, "fetchRelatives": false });
        let spoken = self.command("Accessibility.getPartialAXTree", spoken).await["nodes"][0].clone();
        Focused {
            tag: element.tag,
            role: spoken["role"]["value"].as_str().unwrap_or_default().to_owned(),
            name: plain(spoken["name"]["value"].as_str().unwrap_or_default()),
            text: plain(&element.text),
            ringed: element.ringed,
        }
    }

    /// Presses Tab, at least once, until what has the focus is called so.
    pub(crate) async fn tab_to(&self, name: &str) -> Focused {
        let walked = self.tab_until(|focused| focused.name == name || focused.text == name).await;
        walked.unwrap_or_else(|walked| {
            let stops: Vec<String> = walked.iter().map(ToString::to_string).collect();
            panic!("Tab does not lead to `{name}`. It led to:\n  {}", stops.join("\n  "))
        })
    }

    /// Everything that Tab leads to from here to the end of the page, in this order.
    pub(crate) async fn tab_through(&self) -> Vec<Focused> {
        let mut stops = Vec::new();
        while stops.len() < TABS_MAX {
            self.press("Tab").await;
            let focused = self.focused().await;
            if focused.is_nothing() {
                return stops;
            }
            stops.push(focused);
        }
        panic!("Tab has no end: after {TABS_MAX} it is at {}", stops[TABS_MAX - 1]);
    }

    /// What Tab leads to that is wanted, or everything that it led to on a whole round.
    pub(super) async fn tab_until(&self, wanted: impl Fn(&Focused) -> bool) -> Result<Focused, Vec<Focused>> {
        let mut walked = Vec::new();
        let mut ends = 0;
        // Twice past the end: once round, wherever it began.
        while ends < 2 && walked.len() < TABS_MAX {
            self.press("Tab").await;
            let focused = self.focused().await;
            if focused.is_nothing() {
                ends += 1;
            } else if wanted(&focused) {
                return Ok(focused);
            } else {
                walked.push(focused);
            }
        }
        Err(walked)
    }

    /// All that is to be read on the page.
    pub(crate) async fn text(&self) -> String {
        self.run("() => document.body?.innerText ?? ''", &[]).await
    }

    /// Waits until this is to be read on the page.
    pub(crate) async fn sees(&self, text: &str) {
        let deadline = Instant::now() + WAIT_MAX;
        let mut looks = interval(LOOK_EVERY);
        loop {
            let shown = self.text().await;
            if shown.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "`{text}` does not appear within {WAIT_MAX:?}. There is:\n{shown}");
            looks.tick().await;
        }
    }

    /// The document's title.
    pub(crate) async fn title(&self) -> String {
        self.run("() => document.title", &[]).await
    }

    /// The address of the document that is shown.
    pub(crate) async fn url(&self) -> String {
        self.run("() => location.href", &[]).await
    }

    /// The HTTP status with which it came.
    pub(crate) fn status(&self) -> u64 {
        self.seen.borrow().status
    }

    /// What each element that a CSS selector finds shows, in the document's order.
    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        let texts: Vec<String> = self
            .run(
                "selector => Array.from(document.querySelectorAll(selector), one => one.innerText)",
                &[selector.into()],
            )
            .await;
        texts.iter().map(|text| plain(text)).collect()
    }

    /// An attribute of the first element that a CSS selector finds.
    pub(crate) async fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let read = "(selector, name) => document.querySelector(selector)?.getAttribute(name) ?? null";
        self.run(read, &[selector.into(), name.into()]).await
    }

    /// What a JavaScript expression is about the document.
    pub(crate) async fn evaluate(&self, expression: &str) -> Value {
        self.run(&format!("() => ({expression})"), &[]).await
    }

    /// Shows pages without running their scripts, from the next one on.
    pub(crate) async fn without_javascript(&mut self) {
        self.scripts = false;
        self.run_scripts(false).await;
    }

    /// Lets scripts run, or not; those of a document that is already shown stay away.
    pub(super) async fn run_scripts(&self, run: bool) {
        self.command("Emulation.setScriptExecutionDisabled", json!({ "value": !run })).await;
    }

    /// Shows pages on this screen.
    pub(crate) async fn at_width(&mut self, screen: Screen) {
        let Screen { width, height, mobile } = screen;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        self.screen = screen;
    }

    /// A picture of the whole page, as wide as the screen and as high as it takes.
    pub(crate) async fn screenshot(&self, path: impl AsRef<Path>) {
        let content = self.command("Page.getLayoutMetrics", json!({})).await["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": content["width"], "height": content["height"], "scale": 1 });
        let capture = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.command("Page.captureScreenshot", capture).await;
        std::fs::write(path, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// How the document is wider than the screen, if it is.
    pub(crate) async fn overflow(&self) -> Option<Overflow> {
        self.run(OVERFLOW, &[self.screen.width.into()]).await
    }

    /// Fails if one has to scroll sideways.
    pub(crate) async fn assert_fits(&self) {
        let width = self.screen.width;
        if let Some(Overflow { width: wide, elements }) = self.overflow().await {
            panic!("{} is {wide} wide on a screen of {width}:\n  {}", self.url().await, elements.join("\n  "));
        }
    }

    /// Every address that was asked for, by the person or by the page.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.borrow().requests.clone()
    }

    /// What a person never sees and should not be: errors of scripts, what a content
    /// security policy refused, files that are missing, dialogs that open by themselves.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.seen.borrow().complaints.clone()
    }

    /// Waits for what the browser says.
    async fn until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.clone();
        let waited = timeout(WAIT_MAX, seen.wait_for(is_so)).await.map(|seen| seen.is_ok());
        match waited {
            Ok(true) => {}
            Ok(false) => panic!("waited for {what}: the browser has ended"),
            Err(_) => panic!("waited for {what}: it did not within {WAIT_MAX:?}; the page is {}", self.url().await),
        }
    }

    /// Calls a function about the document with these arguments. It changes nothing: where
    /// the document is just being replaced, the next one is asked.
    pub(super) async fn run<T: DeserializeOwned>(&self, function: &str, arguments: &[Value]) -> T {
        let arguments: Vec<Value> = arguments.iter().map(|argument| json!({ "value": argument })).collect();
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let call = json!({
                "functionDeclaration": function,
                "executionContextId": self.world().await,
                "arguments": arguments,
                "awaitPromise": true,
                "returnByValue": true,
            });
            match self.wire.try_ask(&self.session, "Runtime.callFunctionOn", call).await {
                Ok(done) if done["exceptionDetails"].is_null() => {
                    let value = done["result"]["value"].clone();
                    return serde_json::from_value(value).unwrap_or_else(|error| panic!("{function}: {error}"));
                }
                Ok(done) => panic!("{function}: {}", done["exceptionDetails"]["exception"]["description"]),
                Err(why) => {
                    let replaced = why.contains("context") || why.contains("navigated");
                    assert!(replaced && Instant::now() < deadline, "{function}: {why}");
                }
            }
        }
    }

    /// The world in which the document that is shown now is read; the same at each call.
    pub(super) async fn world(&self) -> Value {
        let world = json!({ "frameId": self.frame, "worldName": WORLD });
        self.command("Page.createIsolatedWorld", world).await["executionContextId"].clone()
    }

    pub(super) async fn command(&self, method: &str, params: Value) -> Value {
        self.wire.ask(&self.session, method, params).await
    }
}

/// Keeps what the browser says about a page. A dialog is closed at once: the page would
/// answer nothing while it is open.
fn watch_over(wire: &Wire, session: &str, frame: &str) -> watch::Receiver<Seen> {
    let (tell, seen) = watch::channel(Seen::default());
    let close_dialog = wire.teller(session, "Page.handleJavaScriptDialog", json!({ "accept": false }));
    let frame = frame.to_owned();
    wire.listen(session, move |event, params| {
        if event == "Page.javascriptDialogOpening" {
            close_dialog();
        }
        tell.send_modify(|seen| seen.note(&frame, event, params));
    });
    seen
}

impl Seen {
    fn note(&mut self, frame: &str, event: &str, params: &Value) {
        let outermost = params["frameId"] == frame;
        match event {
            "Page.lifecycleEvent" if outermost && params["name"] == "load" => {
                self.loaded.push(word(&params["loaderId"]));
            }
            "Network.requestWillBeSent" => self.requests.push(word(&params["request"]["url"])),
            "Network.responseReceived" if outermost && params["type"] == "Document" => {
                self.status = params["response"]["status"].as_u64().unwrap_or_default();
                self.url = word(&params["response"]["url"]);
            }
            "Page.javascriptDialogOpening" => {
                self.complaints.push(format!("a dialog opens: {}", word(&params["message"])));
            }
            "Runtime.exceptionThrown" => {
                self.complaints.push(word(&params["exceptionDetails"]["exception"]["description"]));
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let url = word(&entry["url"]);
                // The document's own status is the test's to judge, and for an icon that no
                // page names the browser asks by itself, now or later.
                let expected = entry["source"] == "network" && (url == self.url || url.ends_with("/favicon.ico"));
                if entry["level"] == "error" && !expected {
                    self.complaints.push(format!("{} ({url})", word(&entry["text"])));
                }
            }
            _ => {}
        }
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A text as it is read: one blank where the source has several.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An element and whether a ring around it shows the focus.
const ELEMENT: &str = "function () {
    const style = getComputedStyle(this);
    const outline = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    const typed = this.tagName === 'SELECT' ? this.selectedOptions[0]?.text : this.value;
    return {
        tag: this.tagName.toLowerCase(),
        text: String((this.tagName === 'BUTTON' ? '' : typed) || this.innerText || ''),
        ringed: outline || style.boxShadow !== 'none',
    };
}";

/// Why a document is wider than a screen; null if it is not.
const OVERFLOW: &str = "screen => {
    const root = document.documentElement;
    const width = Math.max(root.scrollWidth, document.body?.scrollWidth ?? 0);
    if (width <= screen) return null;
    const right = one => {
        const box = one.getBoundingClientRect();
        return Math.ceil(scrollX + Math.max(box.right, box.left + one.scrollWidth));
    };
    const out = Array.from(document.body?.querySelectorAll('*') ?? []).filter(one => right(one) > screen);
    const innermost = out.filter(one => !out.some(other => other !== one && one.contains(other)));
    return {
        width,
        elements: innermost.slice(0, 5).map(one =>
            `${one.tagName.toLowerCase()} to ${right(one)}: ${(one.innerText ?? '').trim().slice(0, 60)}`),
    };
}";

//! The harness itself, against small pages on the loopback: what it says of a page is so,
//! and each of its checks can fail.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::axe::Impact;
use super::{DESK, PHONE, browser_or_skip, chromium, picture, search_path};

/// A form with one of each control.
const FORM: &str = r##"<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Order 7</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>
<header><a href="#main">Skip to the order</a></header>
<main id="main"><h1>Order 7</h1><noscript><p>No scripts here.</p></noscript><p id="scripted"></p>
<form method="post" action="/decided">
<p><label>Amount <input name="amount" value="10"></label></p>
<p><label for="why">Reason</label> <textarea id="why" name="why" rows="3"></textarea></p>
<p><label>Queue <select name="queue"><option>credit<option>price</select></label></p>
<p><label><input type="checkbox" name="sure"> I am sure</label></p>
<fieldset><legend>What to do</legend>
<label><input type="radio" name="act" value="hold"> Hold it</label>
<label><input type="radio" name="act" value="release"> Release it</label></fieldset>
<p><button style="outline-width: 0">Decide</button></p></form>
<p><a href="/bad" data-exception="17">The next one</a></p></main>
<script>document.getElementById('scripted').textContent = 'A script ran.'</script></body></html>"##;

/// Nearly all that can be wrong with a page.
const BAD: &str = r#"<!doctype html><html lang="en"><head><title>Bad</title></head><body><main><h1>Bad</h1>
<form><input name="unnamed"></form><p style="color: #bbb; background: #fff">Hardly to be read</p>
<table><tr><td>a table that is much wider than any telephone</td></tr></table>
<p style="width: 1500px">a paragraph that is too wide</p></main>
<img src="/missing.png" alt=""><script>alert('I am here'); undefinedFunction()</script></body></html>"#;

/// What a partner might write into an order's comment.
const HOSTILE: &str = "</p><script>document.title = 'taken over'</script><img src=x onerror=alert(1)> & \u{202e}so on";

struct Pages {
    origin: String,
    serving: JoinHandle<()>,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pages() -> Pages {
    let escaped = HOSTILE.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let shown = |comment: &str| {
        Html(format!("<!doctype html><meta charset=utf-8><title>Comment</title><p id=comment>{comment}</p>"))
    };
    let (escaped, raw) = (shown(&escaped), shown(HOSTILE));
    let decided = |body: String| async move { Redirect::to(&format!("/done?{body}")) };
    let done = |uri: Uri| async move { Html(format!("<title>Done</title><p>{}</p>", uri.query().unwrap())) };
    let routes = Router::new()
        .route("/form", get(|| async { Html(FORM) }))
        .route("/bad", get(|| async { Html(BAD) }))
        .route("/escaped", get(|| async { escaped }))
        .route("/raw", get(|| async { raw }))
        .route("/decided", post(decided))
        .route("/done", get(done))
        .fallback(async || (StatusCode::NOT_FOUND, "There is no such page."));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    Pages { origin, serving: tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }) }
}

#[tokio::test]
async fn a_form_is_filled_and_sent_with_the_keyboard_alone() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, page) = (pages().await, browser.page().await);
    page.open(&format!("{}/form", pages.origin)).await;
    assert_eq!((page.title().await.as_str(), page.status()), ("Order 7", 200));
    assert_eq!(page.focused().await.tag, "body");

    page.press("Tab").await;
    let first = page.focused().await;
    assert_eq!((first.tag.as_str(), first.role.as_str(), first.name.as_str()), ("a", "link", "Skip to the order"));
    assert!(first.ringed);
    let amount = page.tab_to("Amount").await;
    assert_eq!((amount.role.as_str(), amount.text.as_str()), ("textbox", "10"));
    page.press("Control+a").await;
    page.type_text("12.50 €").await;
    page.press("Tab Shift+Tab").await;
    assert_eq!(page.focused().await.text, "12.50 €");
    page.tab_to("Reason").await;
    page.type_text("Two\nlines").await;
    page.tab_to("Queue").await;
    page.press("ArrowDown").await;
    assert_eq!(page.focused().await.text, "price");
    page.tab_to("I am sure").await;
    page.press("Space").await;
    page.tab_to("Hold it").await;
    page.press("ArrowDown").await;
    assert_eq!(page.focused().await.name, "Release it");
    assert!(!page.tab_to("Decide").await.ringed, "its outline is as thin as nothing");
    page.press_and_load("Enter").await;

    assert_eq!(page.title().await, "Done");
    let sent = "amount=12.50+%E2%82%AC&why=Two%0D%0Alines&queue=price&sure=on&act=release";
    assert_eq!(page.url().await, format!("{}/done?{sent}", pages.origin));
    page.sees(sent).await;
    assert!(page.requests().iter().all(|url| url.starts_with(&pages.origin)), "{:?}", page.requests());
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());
}

#[tokio::test]
async fn what_tab_does_not_lead_to_is_missed_with_what_it_led_to() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, page) = (pages().await, browser.page().await);
    page.open(&format!("{}/form", pages.origin)).await;
    let stops = page.tab_through().await;
    let named: Vec<String> = stops.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "link `Skip to the order`",
            "textbox `Amount`",
            "textbox `Reason`",
            "combobox `Queue`",
            "checkbox `I am sure`",
            "radio `Hold it`",
            "button `Decide`",
            "link `The next one`",
        ]
    );
    // From the middle of the page, too, everything is passed once round.
    page.tab_to("Queue").await;
    let walked = page.tab_until(|focused| focused.name == "Approve").await.unwrap_err();
    assert!(stops.iter().all(|stop| walked.contains(stop)), "{walked:?}");
    assert_eq!(page.attribute("main a", "data-exception").await.as_deref(), Some("17"));
    assert_eq!(page.attribute("main a", "data-other").await, None);
    assert_eq!(page.texts("label").await[2..], ["Queue credit price", "I am sure", "Hold it", "Release it"]);
}

#[tokio::test]
async fn a_page_works_and_is_judged_with_its_scripts_switched_off() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, mut page) = (pages().await, browser.page().await);
    page.open(&format!("{}/form", pages.origin)).await;
    assert!(page.text().await.contains("A script ran."));
    assert!(!page.text().await.contains("No scripts here."));

    page.without_javascript().await;
    page.open(&format!("{}/form", pages.origin)).await;
    let text = page.text().await;
    assert!(text.contains("No scripts here.") && !text.contains("A script ran."), "{text}");
    page.assert_accessible().await;
    page.open(&format!("{}/bad", pages.origin)).await;
    assert!(!page.complaints().iter().any(|said| said.contains("dialog")), "{:?}", page.complaints());
    if let Some(found) = page.axe().await {
        assert!(found.iter().any(|one| one.id == "label"), "axe-core's own script runs: {found:?}");
    }
    page.open(&format!("{}/form", pages.origin)).await;
    assert_eq!(page.evaluate("document.scripts.length").await, 1);
    page.tab_to("Decide").await;
    page.press_and_load("Enter").await;
    assert_eq!(page.title().await, "Done");
}

#[tokio::test]
async fn what_keeps_people_out_of_a_page_is_found() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, mut page) = (pages().await, browser.page().await);
    page.open(&format!("{}/form", pages.origin)).await;
    for screen in [PHONE, DESK] {
        page.at_width(screen).await;
        page.assert_accessible().await;
        page.assert_fits().await;
    }

    page.open(&format!("{}/bad", pages.origin)).await;
    if let Some(found) = page.axe().await {
        let impact = |id: &str| found.iter().find(|one| one.id == id).map(|one| one.impact);
        assert_eq!(impact("label"), Some(Impact::Critical), "{found:?}");
        assert_eq!(impact("color-contrast"), Some(Impact::Serious), "{found:?}");
        assert!(found.iter().any(|one| one.to_string().contains(r#"<input name="unnamed">"#)), "{found:?}");
        let asserted = tokio::spawn(async move { page.assert_accessible().await });
        let why = asserted.await.unwrap_err().into_panic().downcast::<String>().unwrap();
        assert!(why.contains("/bad is not accessible") && why.contains("Critical `label`"), "{why}");
    }
}

#[tokio::test]
async fn what_is_too_wide_and_what_the_browser_complains_of_is_found() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, mut page) = (pages().await, browser.page().await);
    page.at_width(PHONE).await;
    page.open(&format!("{}/bad", pages.origin)).await;
    let overflow = page.overflow().await.unwrap();
    assert!(overflow.width > 1500, "{overflow:?}");
    assert!(overflow.elements.iter().any(|one| one.contains("a paragraph that is too wide")), "{overflow:?}");
    let complaints = page.complaints();
    for expected in ["a dialog opens: I am here", "undefinedFunction is not defined", "/missing.png"] {
        assert!(complaints.iter().any(|said| said.contains(expected)), "no `{expected}` in {complaints:?}");
    }
}

#[tokio::test]
async fn pictures_are_as_wide_as_the_screen() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, mut page) = (pages().await, browser.page().await);
    page.open(&format!("{}/form", pages.origin)).await;
    for (screen, name) in [(PHONE, "harness-phone"), (DESK, "harness-desk")] {
        page.at_width(screen).await;
        let file = picture(name);
        page.screenshot(&file).await;
        assert_eq!(width_of_png(&file), screen.width, "{name}");
    }
}

/// By a PNG's signature and its first chunk.
fn width_of_png(file: &Path) -> u32 {
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(&bytes[..16], b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "{}", file.display());
    u32::from_be_bytes(bytes[16..20].try_into().unwrap())
}

#[tokio::test]
async fn markup_of_strangers_is_told_from_text() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, page) = (pages().await, browser.page().await);
    page.open(&format!("{}/escaped", pages.origin)).await;
    assert_eq!(page.texts("#comment").await, [HOSTILE]);
    assert_eq!(page.title().await, "Comment");
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());

    page.open(&format!("{}/raw", pages.origin)).await;
    assert_eq!(page.title().await, "taken over");
    assert_eq!(page.texts("#comment").await, [""]);
    assert!(page.complaints().iter().any(|said| said == "a dialog opens: 1"), "{:?}", page.complaints());
    page.open(&format!("{}/nowhere", pages.origin)).await;
    assert_eq!(page.status(), 404);
}

#[tokio::test]
async fn two_pages_are_two_people_and_nothing_but_the_loopback_is_reached() {
    let Some(browser) = browser_or_skip().await else { return };
    let (pages, one, other) = (pages().await, browser.page().await, browser.page().await);
    let form = format!("{}/form", pages.origin);
    for page in [&one, &other] {
        page.open(&form).await;
    }
    one.evaluate("document.cookie = 'session=one'").await;
    assert_eq!(one.evaluate("document.cookie").await, "session=one");
    assert_eq!(other.evaluate("document.cookie").await, "");
    for page in [&one, &other] {
        assert!(page.tab_to("Amount").await.ringed, "both have the focus");
    }
    let outside = tokio::spawn(async move { other.open("http://localhost.example/").await });
    let why = outside.await.unwrap_err().into_panic().downcast::<String>().unwrap();
    assert!(why.contains("ERR_NAME_NOT_RESOLVED"), "{why}");
}

#[tokio::test]
async fn a_browser_ends_with_its_test() {
    let Some(browser) = browser_or_skip().await else { return };
    drop(browser.page().await);
    let process = browser.process().to_string();
    let profile = browser.profile.path().to_owned();
    let runs = || Command::new("kill").args(["-0", &process]).output().unwrap().status.success();
    assert!(runs() && profile.is_dir());
    drop(browser);
    assert!(!runs() && !profile.exists());
}

#[test]
fn a_browser_is_looked_for_by_its_names_or_where_it_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = [folder.path().join("empty"), folder.path().to_owned()];
    assert_eq!(chromium(None, &path), None);
    let here = folder.path().join("google-chrome");
    std::fs::write(&here, "").unwrap();
    assert_eq!(chromium(None, &path), Some(here.clone()));
    assert_eq!(chromium(Some(here.clone()), &[]), Some(here));
    assert_eq!(chromium(Some(folder.path().join("gone")), &search_path()), None, "it is not replaced by another one");
}

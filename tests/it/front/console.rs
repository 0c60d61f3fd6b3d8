//! The page for people, in a real browser: with the keyboard alone, without scripts, on a
//! phone and at a desk, and with what senders write in it.

use hyper::Method;
use portreeve_store::contract::OrderState;

use crate::browser::{DESK, PHONE, Page, browser_or_skip, picture};
use crate::support::exceptions::waiting;
use crate::support::{EVERY_ROLE, FrontDoor, PASSWORD, PurchaseOrder, Setup, TestHost, people};

fn dear(number: &str, boxes: u32) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", boxes, "BX", "20.00")])
}

pub(super) async fn sign_in(page: &mut Page, door: &FrontDoor, name: &str) {
    page.open(&format!("http://{}/console", door.address())).await;
    page.tab_to("Name").await;
    page.type_text(name).await;
    page.tab_to("Password").await;
    page.type_text(PASSWORD).await;
    page.tab_to("Sign in").await;
    page.press_and_load("Enter").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_worked_off_with_the_keyboard_alone_and_without_scripts() {
    let Some(browser) = browser_or_skip().await else { return };
    let host = Setup::demo().with_tiers().start().await;
    host.decide_orders(&[dear("PO-SMALL", 10), dear("PO-LARGE", 400)]).await;
    for (name, roles) in [("anna", &["pricing-resolver"][..]), ("ben", &["approver"])] {
        people::add(&host.host.pipeline, name, roles).await;
    }
    let numbers: Vec<u64> = waiting(&host).await.into_iter().map(|waits| waits.id).collect();
    let door = host.front_door().await;
    let link = |id: u64| format!("{id} price-out-of-tolerance");

    for (width, name) in [(PHONE, "phone"), (DESK, "desk")] {
        let mut page = browser.page().await;
        page.without_javascript().await;
        page.at_width(width).await;
        page.open(&format!("http://{}/console/sign-in", door.address())).await;
        page.assert_accessible().await;
        page.assert_fits().await;
        page.screenshot(picture(&format!("console-sign-in-{name}"))).await;
        sign_in(&mut page, &door, "anna").await;
        page.sees("My queues").await;
        page.assert_accessible().await;
        page.assert_fits().await;
        page.screenshot(picture(&format!("console-queue-{name}"))).await;
        assert!(page.tab_to(&link(numbers[1])).await.ringed, "where one is can be seen");
        page.press_and_load("Enter").await;
        page.assert_accessible().await;
        page.assert_fits().await;
        page.screenshot(picture(&format!("console-exception-{name}"))).await;
        assert!(page.complaints().is_empty(), "{:?}", page.complaints());
    }

    // Small: she decides alone.
    let mut page = browser.page().await;
    page.without_javascript().await;
    sign_in(&mut page, &door, "anna").await;
    page.tab_to(&link(numbers[0])).await;
    page.press_and_load("Enter").await;
    page.tab_to("Claim").await;
    page.press_and_load("Enter").await;
    page.sees("It is yours now.").await;
    page.tab_to("Release the holds").await;
    page.press("Space").await;
    page.tab_to("Why, for the record").await;
    page.type_text("the buyer agreed").await;
    page.tab_to("Decide").await;
    page.press_and_load("Enter").await;
    page.sees("It is done, and on record.").await;
    assert_eq!(host.order("PO-SMALL").await.state, OrderState::Released);

    // Large: another person has to agree.
    page.open(&format!("http://{}/console/exceptions/{}", door.address(), numbers[1])).await;
    page.tab_to("Release the holds").await;
    page.press("Space").await;
    page.tab_to("Why, for the record").await;
    page.type_text("a big buyer agreed").await;
    page.tab_to("Decide").await;
    page.press_and_load("Enter").await;
    page.sees("Others have to agree").await;
    assert_eq!(host.order("PO-LARGE").await.state, OrderState::Held);
    let mut other = browser.page().await;
    other.without_javascript().await;
    sign_in(&mut other, &door, "ben").await;
    other.tab_to(&link(numbers[1])).await;
    other.press_and_load("Enter").await;
    other.sees("a big buyer agreed").await;
    other.assert_accessible().await;
    other.tab_to("Approve").await;
    other.press_and_load("Enter").await;
    other.sees("It is done, and on record.").await;
    assert_eq!(host.order("PO-LARGE").await.state, OrderState::Released);
    for page in [&page, &other] {
        assert!(page.complaints().is_empty(), "{:?}", page.complaints());
        assert!(page.requests().iter().all(|url| url.contains("127.0.0.1")), "{:?}", page.requests());
    }
    other.tab_to("Sign out").await;
    other.press_and_load("Enter").await;
    assert_eq!(other.title().await, "Sign in · Portreeve");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_five_hundred_lines_and_hostile_words_is_a_page_that_can_be_used() {
    let Some(browser) = browser_or_skip().await else { return };
    let host = TestHost::demo().await;
    let lines = vec![("FST-1007", 1, "BX", "20.00"); 500];
    let number = "<b>1</b>";
    host.decide_orders(&[PurchaseOrder::clean(number).with_lines(&lines)]).await;
    let exception = waiting(&host).await.remove(0);
    people::add(&host.host.pipeline, "anna", EVERY_ROLE).await;
    let door = host.front_door().await;
    let mut page = browser.page().await;
    sign_in(&mut page, &door, "anna").await;
    page.sees(number).await;
    for width in [PHONE, DESK] {
        page.at_width(width).await;
        page.open(&format!("http://{}/console/exceptions/{}", door.address(), exception.id)).await;
        page.assert_fits().await;
        page.assert_accessible().await;
        let fields = page.texts("fieldset legend").await;
        assert_eq!(fields, ["What is to happen"]);
    }
    page.screenshot(picture("console-500-lines-desk")).await;
    let stops = page.tab_through().await.len();
    assert!(stops < 600, "{stops} stops of the keyboard");
    // Words that look like a program are words, in every field that takes any.
    let script = "<script>alert(1)</script>";
    let who = people::signed_in(&host.host.pipeline, "anna").await;
    let work = portreeve_pipeline::exception::Work::Comment(script);
    host.host.pipeline.work_on_exception(&who, exception.id, work).await.unwrap();
    page.open(&format!("http://{}/console/exceptions/{}?done=<script>", door.address(), exception.id)).await;
    page.sees(script).await;
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());
    door.close().await;
}

#[tokio::test]
async fn a_form_counts_only_from_a_page_of_its_own_session() {
    let host = TestHost::demo().await;
    host.decide_orders(&[dear("PO-1", 1)]).await;
    let exception = waiting(&host).await.remove(0).id;
    people::add(&host.host.pipeline, "anna", EVERY_ROLE).await;
    let door = host.front_door().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let credentials = format!("name=anna&password={}", PASSWORD.replace(' ', "+"));
    let post = async |path: &str, headers: &[(&str, &str)], body: &str| {
        door.send(Method::POST, path, &[&form[..], headers].concat(), body.as_bytes()).await
    };
    let long = format!("name=anna&password={}", "x".repeat(5_000));
    assert_eq!(post("/console/sign-in", &[], &long).await.status, 413, "nobody's password is a book");
    let elsewhere = [("sec-fetch-site", "cross-site")];
    assert_eq!(post("/console/sign-in", &elsewhere, &credentials).await.status, 403, "nobody signs in for somebody");
    assert_eq!(post("/console/sign-in", &[], "name=anna&password=wrong").await.status, 401);
    let begun = post("/console/sign-in", &[], &credentials).await;
    assert_eq!((begun.status, begun.header("location")), (303, Some("/console/exceptions")));
    let set = begun.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let cookie = [("cookie", cookie.as_str())];
    let page = door.get(&format!("/console/exceptions/{exception}"), &cookie).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let token = text.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let claim = format!("/console/exceptions/{exception}/claim");
    let with = format!("token={token}");
    for (headers, body) in [
        (vec![], ""),
        (vec![], "token=0000"),
        (vec![("sec-fetch-site", "cross-site")], with.as_str()),
        (vec![("origin", "https://evil.example")], with.as_str()),
    ] {
        let refused = post(&claim, &[&cookie[..], &headers].concat(), body).await;
        assert_eq!(refused.status, 403, "{headers:?} {body}");
    }
    let stranger = post(&claim, &[], &with).await;
    assert_eq!((stranger.status, stranger.header("location")), (303, Some("/console/sign-in")));
    assert!(waiting(&host).await[0].claimed.is_none(), "nothing was done");
    assert_eq!(post(&claim, &cookie, &with).await.status, 303);
    assert_eq!(waiting(&host).await[0].claimed.as_ref().unwrap().0, "anna");
    // What was shown is not what there is: the page comes again, with what was typed.
    let decide = format!("/console/exceptions/{exception}/decide");
    let stale = format!("{with}&shown=sha256:{}&action=reject&reason=no+%3Cb%3Ereason", "0".repeat(64));
    let refused = post(&decide, &cookie, &stale).await;
    let text = String::from_utf8(refused.body.to_vec()).unwrap();
    assert_eq!(refused.status, 409);
    assert!(text.contains("changed since it was shown") && text.contains("no &lt;b&gt;reason"), "{text}");
    // Whoever may not is told who may.
    people::add(&host.host.pipeline, "vera", &["viewer"]).await;
    let begun = post("/console/sign-in", &[], &credentials.replace("anna", "vera")).await;
    let other = begun.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let refused = post(&claim, &[("cookie", &other)], &with).await;
    assert_eq!(refused.status, 403, "a token of another session");
    door.close().await;
    host.verify().await.unwrap();
}

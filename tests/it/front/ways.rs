//! The life of an exception of every kind, each of the three ways: over HTTP, on the command
//! line, and in a browser. One story, told by whoever acts, and the same log after it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hyper::Method;
use portreeve::client::Answer;
use portreeve_model::ExceptionKind;
use portreeve_registry::quarantine::IN_A_ROW_MAX;
use portreeve_store::contract::OrderState;
use serde_json::{Value, json};

use super::commands::run;
use super::console::sign_in;
use crate::browser::{Browser, Page, browser_or_skip};
use crate::later::with_purpose;
use crate::support::exceptions::waiting;
use crate::support::{FrontDoor, PurchaseOrder, Setup, TestHost, people, sample, x12};

use ExceptionKind::{Change, Delivery, Document, Held, Input, Order, Plugin};

const PEOPLE: [(&str, &[&str]); 5] = [
    ("anna", &["pricing-resolver", "order-desk", "integration", "senior-approver"]),
    ("carl", &["pricing-resolver", "order-desk", "integration"]),
    ("cleo", &["senior-approver"]),
    ("dora", &["senior-approver"]),
    ("vera", &["viewer"]),
];

/// Priced too high: the host's own rule holds. About 200 USD for each box.
fn dear(number: &str, boxes: u32) -> PurchaseOrder {
    PurchaseOrder::clean(number).with_lines(&[("FST-1007", boxes, "BX", "20.00")])
}

/// A host in which something of every kind waits.
async fn start() -> TestHost {
    let setup = Setup::demo().with_tiers().erp_origin("http://127.0.0.1:9").workers(1);
    let setup = setup.scorers(&["obeys-the-sender"]).plugin("obeys-the-sender", "{}");
    let host = setup.replace("portreeve.toml", "attempts_max = 6", "deadline_minutes = 1").start().await;
    for (name, roles) in PEOPLE {
        people::add(&host.host.pipeline, name, roles).await;
    }
    let send = async |bytes: &[u8]| {
        host.send_edi(bytes).await.unwrap();
        host.decide_all().await;
    };
    // Given up: nobody listens there. What its sender wants then is a person's, as is what somebody
    // wants of an order that is not here.
    send(&x12(1, &PurchaseOrder::clean("PO-GONE"))).await;
    host.deliver_all().await;
    send(&with_purpose(2, &PurchaseOrder::clean("PO-GONE").with_lines(&[("FST-1007", 3, "BX", "18.40")]), "05")).await;
    send(&with_purpose(21, &PurchaseOrder::clean("PO-NOWHERE"), "05")).await;
    // Held, each by the same rule; two people have to agree to the largest.
    send(&x12(3, &dear("PO-SMALL", 10))).await;
    send(&x12(4, &dear("PO-HUGE", 2_000))).await;
    send(&x12(20, &dear("PO-LATE", 400))).await;
    // No order: a currency that is none.
    let shops = String::from_utf8(sample("adobe-commerce", "0001")).unwrap();
    assert!(shops.contains("\"USD\""), "{shops}");
    host.send_shop(shops.replace("\"USD\"", "\"XQX\"").as_bytes()).await.unwrap();
    host.decide_all().await;
    // Not read: no connector may be called.
    host.host.pipeline.plugins.halt();
    send(&x12(6, &PurchaseOrder::clean("PO-UNREAD"))).await;
    host.host.pipeline.plugins.resume();
    // Not called: it failed again and again.
    for control in 7..7 + IN_A_ROW_MAX {
        send(&x12(control, &PurchaseOrder::clean(&format!("TRAP-{control}")))).await;
    }
    host
}

/// What somebody does about an exception.
#[derive(Debug, Clone, Copy)]
enum Act {
    Claim,
    Decide(&'static str, &'static str),
    Approve,
}

/// A way to act. Whoever decides names what this person looked at last.
enum Way {
    Http { door: FrontDoor, looks: BTreeMap<(&'static str, u64), Value> },
    Line { door: FrontDoor, keys: PathBuf, looks: BTreeMap<(&'static str, u64), Value> },
    Browser { door: FrontDoor, browser: Browser, pages: BTreeMap<&'static str, Page> },
}

impl Way {
    fn into_door(self) -> FrontDoor {
        match self {
            Self::Http { door, .. } | Self::Line { door, .. } | Self::Browser { door, .. } => door,
        }
    }

    /// Hours later a session is over, and a page says so: whoever had one signs in again.
    async fn come_back(&mut self) {
        let Self::Browser { door, pages, .. } = self else { return };
        for (who, page) in pages {
            page.open(&format!("http://{}/console/exceptions", door.address())).await;
            assert_eq!(page.title().await, "Sign in · Portreeve");
            sign_in(page, door, who).await;
        }
    }

    /// Acts on what was looked at before, where a page was left open.
    async fn act_after_all(&mut self, who: &'static str, exception: u64, act: Act) -> Result<(), String> {
        if matches!(self, Self::Browser { .. }) {
            self.look(who, exception).await;
        }
        self.act(who, exception, act).await
    }

    /// What waits, as this person is told.
    async fn list(&mut self, who: &'static str) -> String {
        match self {
            Self::Http { door, .. } => text(&ask(door, who, "/v1/exceptions?limit=100").await),
            Self::Line { door, keys, .. } => line(door, keys, who, &["exception", "list"]).await.unwrap(),
            Self::Browser { door, browser, pages } => {
                let page = page_of(pages, browser, door, who).await;
                page.open(&format!("http://{}/console/exceptions", door.address())).await;
                page.text().await
            }
        }
    }

    /// Looks at one.
    async fn look(&mut self, who: &'static str, exception: u64) -> String {
        match self {
            Self::Http { door, looks } => {
                let answer = ask(door, who, &format!("/v1/exceptions/{exception}")).await;
                looks.insert((who, exception), serde_json::from_slice(&answer.body).unwrap());
                text(&answer)
            }
            Self::Line { door, keys, looks } => {
                let show = ["exception", "show", &exception.to_string(), "--json"];
                let found = line(door, keys, who, &show).await.unwrap();
                looks.insert((who, exception), serde_json::from_str(&found).unwrap());
                line(door, keys, who, &["exception", "show", &exception.to_string()]).await.unwrap()
            }
            Self::Browser { door, browser, pages } => {
                let page = page_of(pages, browser, door, who).await;
                page.open(&format!("http://{}/console/exceptions/{exception}", door.address())).await;
                page.text().await
            }
        }
    }

    /// Acts on what was looked at. What was refused is told.
    async fn act(&mut self, who: &'static str, exception: u64, act: Act) -> Result<(), String> {
        match self {
            Self::Http { door, looks } => {
                let look = looks.get(&(who, exception)).cloned().unwrap_or_default();
                let (path, body) = match act {
                    Act::Claim => ("claim", json!({})),
                    Act::Decide(action, reason) => {
                        let mut body = json!({ "shown": look["shown"], "action": action, "reason": reason });
                        if action == "release-holds" {
                            body["holds"] = holds(&look).into();
                        }
                        ("decide", body)
                    }
                    Act::Approve => ("approve", json!({ "proposal": look["proposal"]["digest"] })),
                };
                let key = door.key_of(who, &[]).await;
                let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
                let path = format!("/v1/exceptions/{exception}/{path}");
                let answer = door.send(Method::POST, &path, &headers, body.to_string().as_bytes()).await;
                if [200, 202, 204].contains(&answer.status) { Ok(()) } else { Err(text(&answer)) }
            }
            Self::Line { door, keys, looks } => {
                let look = looks.get(&(who, exception)).cloned().unwrap_or_default();
                let number = exception.to_string();
                let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (shown, proposal) = (word(&look["shown"]), word(&look["proposal"]["digest"]));
                let holds: Vec<String> = holds(&look).iter().map(u64::to_string).collect();
                let mut arguments = vec!["exception"];
                match act {
                    Act::Claim => arguments.extend(["claim", &number]),
                    Act::Decide(action, reason) => {
                        arguments.extend(["decide", &number, action, "--shown", &shown, "--reason", reason]);
                        if action == "release-holds" {
                            arguments.extend(holds.iter().flat_map(|hold| ["--hold", hold]));
                        }
                    }
                    Act::Approve => arguments.extend(["approve", &number, "--proposal", &proposal]),
                }
                line(door, keys, who, &arguments).await.map(drop)
            }
            Self::Browser { door, browser, pages } => {
                let page = page_of(pages, browser, door, who).await;
                match act {
                    Act::Claim => page.tab_to("Claim").await,
                    // Where there is no such button the page says why.
                    Act::Approve if !page.texts("button").await.iter().any(|button| button == "Approve") => {
                        return Err(page.text().await);
                    }
                    Act::Approve => page.tab_to("Approve").await,
                    Act::Decide(action, reason) => {
                        choose(page, action).await;
                        page.tab_to("Why, for the record").await;
                        page.type_text(reason).await;
                        page.tab_to("Decide").await
                    }
                };
                page.press_and_load("Enter").await;
                let told = page.text().await;
                let done = ["It is yours now.", "It is done, and on record.", "Others have to agree"];
                if done.iter().any(|done| told.contains(done)) { Ok(()) } else { Err(told) }
            }
        }
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn holds(look: &Value) -> Vec<u64> {
    let holds = look["orderFacts"]["holds"].as_array().into_iter().flatten();
    holds.map(|hold| hold["number"].as_u64().unwrap()).collect()
}

async fn ask(door: &FrontDoor, who: &str, path: &str) -> Answer {
    let key = door.key_of(who, &[]).await;
    door.get(path, &[("authorization", &key)]).await
}

async fn line(door: &FrontDoor, keys: &std::path::Path, who: &str, arguments: &[&str]) -> Result<String, String> {
    let file = keys.join(who);
    if !file.exists() {
        let key = door.key_of(who, &[]).await;
        std::fs::write(&file, key.strip_prefix("Bearer ").unwrap()).unwrap();
    }
    let server = format!("http://{}", door.address());
    run(&[arguments, &["--server", &server, "--token-file", file.to_str().unwrap()]].concat()).await
}

/// Chooses what is to happen as the keyboard does: to the first choice, and down.
async fn choose(page: &Page, action: &str) {
    let choices = page.texts("fieldset > .choice > label").await;
    let label = match action {
        "release-holds" => "Release the holds",
        "reject" => "Reject the order",
        "retry" => "Try it again",
        "refuse-change" => "Refuse the change: the order stays as it was",
        _ => "Abandon it",
    };
    page.tab_to(&choices[0]).await;
    page.press("Space").await;
    for _ in 1..choices.len() {
        if page.focused().await.name == label {
            break;
        }
        page.press("ArrowDown").await;
    }
    assert_eq!(page.focused().await.name, label, "{choices:?}");
}

async fn page_of<'a>(
    pages: &'a mut BTreeMap<&'static str, Page>,
    browser: &Browser,
    door: &FrontDoor,
    who: &'static str,
) -> &'a mut Page {
    if !pages.contains_key(who) {
        let mut page = browser.page().await;
        page.without_javascript().await;
        sign_in(&mut page, door, who).await;
        pages.insert(who, page);
    }
    pages.get_mut(who).unwrap()
}

/// The whole life of one of each kind.
async fn live(host: TestHost, mut way: Way) {
    let open = waiting(&host).await;
    let of = |kind: ExceptionKind, number: Option<&str>| {
        let found =
            open.iter().find(|open| open.kind == kind && (number.is_none() || open.order_number.as_deref() == number));
        found.unwrap_or_else(|| panic!("nothing of kind {kind:?} waits: {open:?}")).id
    };
    let list = way.list("anna").await;
    for waits in &open {
        assert!(list.contains(&waits.code), "expected {} in {list}", waits.code);
    }

    // Of two who claim one has it; and whoever has no role for it is told which would do.
    let small = of(Held, Some("PO-SMALL"));
    for who in ["anna", "carl", "vera"] {
        assert!(way.look(who, small).await.contains("PO-SMALL"));
    }
    way.act("anna", small, Act::Claim).await.unwrap();
    let late = way.act("carl", small, Act::Claim).await.unwrap_err();
    assert!(late.contains("is `anna`'s since"), "{late}");
    let stranger = way.act("vera", small, Act::Decide("reject", "no")).await.unwrap_err();
    assert!(stranger.contains("no role of `vera` resolves queue"), "{stranger}");

    // A decision is about what was looked at: meanwhile the sender wants something else.
    way.look("anna", small).await;
    host.send_edi(&with_purpose(30, &dear("PO-SMALL", 10), "01")).await.unwrap();
    host.decide_all().await;
    let stale = way.act("anna", small, Act::Decide("release-holds", "the buyer called")).await.unwrap_err();
    assert!(stale.contains("changed since it was shown") && stale.contains("wants it cancelled"), "{stale}");
    way.look("anna", small).await;
    way.act("anna", small, Act::Decide("reject", "the buyer called")).await.unwrap();
    assert_eq!(host.order("PO-SMALL").await.state, OrderState::Refused);
    assert!(way.look("carl", small).await.contains("the buyer called"), "the reason is told");

    // Two others have to agree to what is worth that much, and nobody twice or to the own work.
    let huge = of(Held, Some("PO-HUGE"));
    way.look("anna", huge).await;
    way.act("anna", huge, Act::Decide("release-holds", "a big buyer called")).await.unwrap();
    assert_eq!(host.order("PO-HUGE").await.state, OrderState::Held);
    for (who, why) in
        [("anna", "nobody judges work of their own"), ("cleo", ""), ("cleo", "approved this already"), ("dora", "")]
    {
        assert!(way.look(who, huge).await.contains("a big buyer called"), "who agrees reads to what");
        let done = way.act(who, huge, Act::Approve).await;
        match why {
            "" => done.unwrap(),
            why => {
                let refused = done.unwrap_err();
                assert!(refused.contains(why), "{refused}");
            }
        }
    }
    assert_eq!(host.order("PO-HUGE").await.state, OrderState::Released);

    // What nobody agreed to in time is agreed to no more; who else would have to is told first.
    let late = of(Held, Some("PO-LATE"));
    way.look("anna", late).await;
    way.act("anna", late, Act::Decide("release-holds", "the buyer waits")).await.unwrap();
    way.look("cleo", late).await;
    let until = host.store.exception(late).await.unwrap().unwrap().proposal.unwrap().expires_at;
    host.clock.advance_to(until);
    way.come_back().await;
    let over = way.act_after_all("cleo", late, Act::Approve).await.unwrap_err();
    assert!(over.contains("has no open proposal"), "{over}");
    host.host.pipeline.escalate_due(|| false).await.unwrap();
    assert_eq!(host.order("PO-LATE").await.state, OrderState::Held);

    // What came about an order, what became no order, what was not read, what was given up.
    for (kind, action, reason) in [
        (Order, "abandon", "the buyer knows"),
        (Change, "refuse-change", "the goods have left"),
        (Plugin, "retry", "its maker is told"),
        (Document, "retry", "the transformer is mended"),
        (Input, "retry", "the connector is back"),
        (Delivery, "abandon", "the buyer sent it again"),
    ] {
        let number = of(kind, None);
        let code = &open.iter().find(|open| open.id == number).unwrap().code;
        assert!(way.look("anna", number).await.contains(code), "{kind:?}");
        way.act("anna", number, Act::Decide(action, reason)).await.unwrap();
        let closed = host.store.exception(number).await.unwrap().unwrap().exception.closed.unwrap();
        assert_eq!((closed.who.as_deref(), closed.how.as_str()), (Some("anna"), action), "{kind:?}");
    }
    host.decide_all().await;
    assert_eq!(host.order("PO-UNREAD").await.state, OrderState::Released);
    assert_eq!(host.order("PO-GONE").await.deliveries[0].state, "abandoned");

    // The currency is none all the same: it waits anew, and when it is due others hear of it.
    let again = waiting(&host).await.into_iter().find(|open| open.kind == Document).unwrap();
    host.clock.advance_to(again.due_at.unwrap());
    host.host.pipeline.escalate_due(|| false).await.unwrap();
    assert_eq!(again.queue, "integration");
    way.come_back().await;
    let told = way.look("anna", again.id).await;
    assert!(told.to_lowercase().contains("escalated") && told.contains("order-desk"), "{told}");
    way.act("anna", again.id, Act::Decide("abandon", "the buyer sent it again")).await.unwrap();
    way.into_door().close().await;
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_an_exception_of_every_kind_is_decided_by_who_may_on_what_was_shown() {
    let host = start().await;
    let door = host.front_door().await;
    live(host, Way::Http { door, looks: BTreeMap::new() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_command_line_an_exception_of_every_kind_is_decided_by_who_may_on_what_was_shown() {
    let host = start().await;
    let (door, keys) = (host.front_door().await, host.folder().join("keys"));
    std::fs::create_dir(&keys).unwrap();
    live(host, Way::Line { door, keys, looks: BTreeMap::new() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_browser_an_exception_of_every_kind_is_decided_by_who_may_on_what_was_shown() {
    let Some(browser) = browser_or_skip().await else { return };
    let host = start().await;
    let door = host.front_door().await;
    live(host, Way::Browser { door, browser, pages: BTreeMap::new() }).await;
}

//! Hostile data: what a sender writes so that it means something else where it is
//! written again. So far X12 is the only format that comes in and goes out; XML,
//! compressed bodies and exported tables are read or written nowhere.

use portreeve_pipeline::Credential;

use crate::support::{EDI_TOKEN, PurchaseOrder, TestHost, x12};

/// The host's own delimiters in what its acknowledgement echoes, for a sender who
/// uses others: an accepted set that nobody sent, if they were written as they are.
const FORGED: &str = "1~AK5*A";

#[tokio::test(flavor = "multi_thread")]
async fn delimiters_in_what_an_acknowledgement_echoes_forge_no_segment() {
    let host = TestHost::demo().await;
    let text = String::from_utf8(x12(1, &PurchaseOrder::clean("PO-1"))).unwrap();
    let text = text.replace('*', "|").replace('~', "'").replace("|0001'", &format!("|{FORGED}'"));
    assert_eq!(text.matches(FORGED).count(), 2, "in ST and SE:\n{text}");
    let accepted = host.send("edi", Credential::Bearer(EDI_TOKEN), text.as_bytes()).await.unwrap();

    let reply = String::from_utf8(accepted.reply.body).unwrap();
    for segment in reply.lines() {
        assert_eq!(segment.matches('~').count(), 1, "`{segment}` in:\n{reply}");
        assert!(segment.ends_with('~'), "`{segment}` in:\n{reply}");
    }
    let tags = |tag: &str| reply.lines().filter(|segment| segment.starts_with(tag)).count();
    assert_eq!((tags("ISA*"), tags("AK2*"), tags("AK5*")), (1, 1, 1), "{reply}");
    let echoed = reply.lines().find(|segment| segment.starts_with("AK2*")).unwrap();
    assert_eq!(echoed.matches('*').count(), 2, "{reply}");
}

//! A disk that takes no more: nothing is acknowledged that is not kept, and what
//! comes again when there is room is taken once.

use crate::support::{EDI_TOKEN, PurchaseOrder, TestHost, x12};

/// What SQLite does on a full disk at its worst: it gives the whole transaction up.
const DISK_FULL: &str = "CREATE TRIGGER disk_full BEFORE INSERT ON payload
                         BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END;";

#[tokio::test]
async fn a_full_disk_is_answered_503_and_the_sender_still_has_its_order() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let bearer = format!("Bearer {EDI_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let post = async |control: u32| {
        let answer = door.post("edi", &headers, &x12(control, &PurchaseOrder::clean(&format!("PO-{control}")))).await;
        (answer.status, answer.header("x-portreeve-duplicate").map(str::to_owned), answer)
    };
    assert_eq!(post(1).await.0, 200);

    let disk = rusqlite::Connection::open(host.folder().join("data/store/portreeve.db")).unwrap();
    disk.execute_batch(DISK_FULL).unwrap();
    let (status, _, refused) = post(2).await;
    assert_eq!((status, refused.header("content-type")), (503, Some("application/problem+json")));
    assert!(refused.header("retry-after").is_some());
    let said = String::from_utf8(refused.body.to_vec()).unwrap();
    assert!(said.contains("nothing was acknowledged"), "{said}");
    assert!(!said.contains("disk"), "what is wrong inside is for the log: {said}");
    assert_eq!(post(1).await.1.as_deref(), Some("true"), "what was kept is answered as before");
    assert_eq!(host.summary().await.inputs, 1);

    disk.execute_batch("DROP TRIGGER disk_full;").unwrap();
    let (status, duplicate, _) = post(2).await;
    assert_eq!((status, duplicate.as_deref()), (200, Some("false")), "it is a first one: nothing half was kept");
    door.close().await;
    host.decide_all().await;
    host.deliver_all().await;
    assert_eq!(host.erp.sales_orders().len(), 2);
    host.verify().await.unwrap();
}

//! What a given-up delivery means for the later ones of its order to the same target, which is
//! the target's to say (`after_dead`).

use std::sync::{Arc, Mutex};

use portreeve_model::ExceptionAction;

use crate::interchanges::{accepted, agreed, shipped_and_invoiced, to_customers};
use crate::support::exceptions::decide;
use crate::support::{ScriptedTarget, Setup, TestHost};

/// A partner who refuses the first interchange that he is sent.
struct Partner {
    target: ScriptedTarget,
    /// The sets that came, in their order.
    came: Arc<Mutex<Vec<String>>>,
}

impl Partner {
    async fn start() -> Self {
        let came = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&came);
        let target = ScriptedTarget::start(move |_, interchange| {
            let text = String::from_utf8(interchange.to_vec()).unwrap();
            let set = text.split("ST*").nth(1).and_then(|rest| rest.get(..3)).unwrap().to_owned();
            let mut seen = seen.lock().unwrap();
            seen.push(set);
            let status = if seen.len() == 1 { 422 } else { 202 };
            async move { (status, String::new()) }
        })
        .await;
        Self { target, came }
    }

    fn came(&self) -> Vec<String> {
        self.came.lock().unwrap().clone()
    }

    /// A host that sends him an 855, an 856 and an 810 of each order.
    async fn host(&self, after_dead: &str) -> TestHost {
        let origin = self.target.origin();
        to_customers(Setup::demo(), origin, &format!("{after_dead}{}", agreed(origin, ""))).start().await
    }
}

/// Where the deliveries to the partner stand.
async fn states(host: &TestHost) -> Vec<String> {
    let deliveries = host.order("PO-1").await.deliveries.into_iter();
    deliveries.filter(|delivery| delivery.target == "customers").map(|delivery| delivery.state).collect()
}

/// An order whose 855 is given up, and what is said of it afterwards.
async fn given_up(partner: &Partner, after_dead: &str) -> TestHost {
    let host = partner.host(after_dead).await;
    let order = accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    assert_eq!(
        (states(&host).await, host.codes().await),
        (vec!["dead".to_owned()], vec!["refused-by-partner".to_owned()])
    );
    shipped_and_invoiced(&host, order, 1).await;
    host.decide_all().await;
    host.deliver_all().await;
    host
}

#[tokio::test]
async fn a_given_up_delivery_keeps_the_later_ones_of_its_order_back_until_a_person_has_decided() {
    for said in ["", "after_dead = \"block\"\n"] {
        let partner = Partner::start().await;
        let host = given_up(&partner, said).await;
        assert_eq!(
            (states(&host).await, partner.came()),
            (vec!["dead".to_owned(), "pending".to_owned(), "pending".to_owned()], vec!["855".to_owned()])
        );
        // Other orders are not kept back by it.
        accepted(&host, "PO-2", "C1201").await;
        host.deliver_all().await;
        host.decide_all().await;
        host.deliver_all().await;
        assert_eq!(partner.came(), ["855", "855"]);

        let exception = host.exceptions().await.remove(0).id;
        decide(&host, &host.ops().await, exception, ExceptionAction::Retry).await.unwrap();
        host.come_to_rest().await;
        assert_eq!((states(&host).await, host.codes().await), (vec!["delivered".to_owned(); 3], vec![]));
        assert_eq!(partner.came(), ["855", "855", "855", "856", "810"], "in their order");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn where_the_target_says_so_the_later_ones_go_without_the_one_that_was_given_up() {
    let partner = Partner::start().await;
    let host = given_up(&partner, "after_dead = \"skip\"\n").await;
    assert_eq!(states(&host).await, ["dead", "delivered", "delivered"]);
    assert_eq!(partner.came(), ["855", "856", "810"]);
    // It is a person's all the same, and goes alone when he has it sent again.
    let exception = host.exceptions().await.remove(0);
    assert_eq!(exception.code, "refused-by-partner");
    decide(&host, &host.ops().await, exception.id, ExceptionAction::Retry).await.unwrap();
    host.come_to_rest().await;
    assert_eq!((states(&host).await, host.codes().await), (vec!["delivered".to_owned(); 3], vec![]));
    assert_eq!(partner.came(), ["855", "856", "810", "855"]);
    host.verify().await.unwrap();
}

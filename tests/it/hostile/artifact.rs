//! A scorer that pries into the folder of model files, and reads its own.

use portreeve_model::Digest;
use portreeve_pipeline::rederive::Rederived;
use portreeve_store::contract::OrderState;

use crate::support::{PurchaseOrder, Setup};

const MODEL: &[u8] = b"the model of the tests";

#[tokio::test]
async fn a_guest_reads_the_model_that_it_declares_and_nothing_else_and_so_it_does_again() {
    let digest = Digest::of(MODEL);
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    std::fs::write(models.join(hex::encode(digest.as_bytes())), MODEL).unwrap();
    // What it is after.
    std::fs::write(folder.path().join("secret"), b"a secret").unwrap();
    std::fs::write(models.join("secret"), b"a secret").unwrap();
    std::fs::write(models.join(hex::encode(Digest::of(b"").as_bytes())), b"").unwrap();

    let setup = || {
        Setup::demo()
            .plugin("artifact-prier", &format!("{{ artifact = [\"{digest}\"] }}"))
            .scorers(&["artifact-prier"])
            .replace("portreeve.toml", "[host]\n", &format!("[host]\nmodels = \"{}\"\n", models.display()))
    };
    let host = setup().start().await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await.remove(0);
    assert_eq!(order.state, OrderState::Released, "{}", order.why);
    let decision = host.decision(&order).await;
    assert_eq!(decision.scorings[0].failure, None, "it traps when it reads anything else");
    assert!(matches!(host.rederive(order.id).await.unwrap(), Rederived::Same(_)));

    // Without the file, or with another one under its name, the host does not start.
    std::fs::write(models.join(hex::encode(digest.as_bytes())), b"another model").unwrap();
    let refused = format!("{:#}", setup().try_start().await.err().unwrap());
    assert!(refused.contains("artifact-prier") && refused.contains("has digest"), "{refused}");
}

//! The road from order to cash: the configuration of `throughput` with a warehouse behind the ERP.
//! On the short road a demand plan gets each order as well; on the whole one comes what follows the
//! goods (`finance`), and whoever reports on orders hears all of it.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use portreeve_model::Digest;

use crate::finance;
use crate::setup::{self, CONFIG};
use crate::standins::Origins;

/// What the warehouse shows at the door.
pub(crate) const WAREHOUSE_TOKEN: &str = "the-warehouses-token-for-the-benchmark-only";

/// How far orders go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Road {
    /// To the goods that left: a million orders fit on a disk.
    Short,
    /// To the money.
    Whole,
}

impl Road {
    pub(crate) fn parse(word: &str) -> anyhow::Result<Self> {
        match word {
            "short" => Ok(Self::Short),
            "whole" => Ok(Self::Whole),
            other => bail!("`{other}` is no road; expected short or whole"),
        }
    }

    /// Events that come in about each order: itself, the ERP's word and five of the warehouse; on
    /// the whole road its invoice and its payment as well.
    pub(crate) fn events_in(self) -> u64 {
        match self {
            Self::Short => 7,
            Self::Whole => 9,
        }
    }

    /// Deliveries of each order: its booking and its release. On the short road two to the demand
    /// plan; on the whole one its posting, its tax, three messages to its customer, and each event
    /// that came in once more, to whoever reports on orders.
    pub(crate) fn deliveries(self) -> u64 {
        match self {
            Self::Short => 4,
            Self::Whole => 7 + self.events_in(),
        }
    }

    /// The target that an outage takes away, what people call it, and what each order has for it.
    pub(crate) fn that_goes_down(self) -> Down {
        match self {
            Self::Short => Down { target: "plan", called: "the demand plan", deliveries: 2 },
            Self::Whole => Down { target: "analytics", called: "the event feed's subscriber", deliveries: 9 },
        }
    }

    /// In which state of the process each order ends.
    pub(crate) fn last_state(self) -> &'static str {
        match self {
            Self::Short => "shipped",
            Self::Whole => "settled",
        }
    }
}

/// A target that goes down.
pub(crate) struct Down {
    pub(crate) target: &'static str,
    pub(crate) called: &'static str,
    pub(crate) deliveries: u32,
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "short",
            Self::Whole => "whole",
        })
    }
}

/// What follows from what the ERP says.
const EFFECTS: &str = r#"
[[effect]]
on = "order.accepted"
to = ["accepted"]
target = "warehouse"
sends = "order"
"#;

/// What the demand plan gets.
const EFFECTS_OF_THE_PLAN: &str = r#"
[[effect]]
on = "order.accepted"
to = ["accepted"]
target = "plan"
sends = "order"

[[effect]]
on = "shipment.confirmed"
to = ["shipped"]
target = "plan"
kind = "business-central/cancel"
"#;

/// Writes it into the folder, whose store has orders of another warehouse `before`: each gives numbers from 1 on,
/// and has a name of its own.
pub(crate) fn write(folder: &Path, origins: &Origins, road: Road, before: u32) -> anyhow::Result<()> {
    setup::write(folder, &origins.erp, false)?;
    let path = folder.join(CONFIG).join("portreeve.toml");
    let mut text = std::fs::read_to_string(&path)?;
    let warehouse = &origins.warehouse;
    // The ERP's receipt is its word that it has the order.
    let kind = "kind = \"business-central/sales-order\"";
    ensure!(text.contains(kind), "the demo's configuration has no `{kind}`");
    text = text.replacen(kind, &format!("{kind}\nreceipt = \"order.accepted\""), 1);
    text.push_str(&format!(
        "\n[[plugin]]\nname = \"wms-rest\"\ncomponent = \"wms-rest.wasm\"\nrequests_per_second = 20000\n\
         grant = {{ http = [\"GET\", \"POST\"], limits = {{ wall_ms = 45000 }} }}\n{}\
         \n[[plugin]]\nname = \"wms-documents\"\ncomponent = \"wms-documents.wasm\"\n\
         \n[[sender]]\nchannel = \"wms\"\nid = \"wms-{before}\"\ntoken_sha256 = \"{}\"\n\
         \n[[channel]]\nid = \"wms\"\nconnector = \"wms-rest\"\ndocuments = {{ \"wms-rest/event\" = \"wms-documents\" }}\n\
         target = \"erp\"\nexception_queue = \"integration\"\nsays = [\"inventory.allocated\", \"shipment.picked\", \
         \"shipment.packed\", \"shipment.dispatched\", \"shipment.confirmed\"]\n\
         \n[[target]]\nid = \"warehouse\"\nconnector = \"wms-rest\"\ntransformer = \"wms-documents\"\n\
         kind = \"wms-rest/release\"\norigin = \"{warehouse}\"\nexception_queue = \"integration\"\nfind = true\n\
         find_after_ms = 1000\ndeliveries_max = 256\nsettings = {{ base-url = \"{warehouse}/api/v1\" }}\n",
        egress(warehouse),
        Digest::of(WAREHOUSE_TOKEN.as_bytes()),
    ));
    text.push_str(EFFECTS);
    match road {
        Road::Short => text = with_the_plan(text, origins)?,
        Road::Whole => text.push_str(&finance::configured(folder, origins)?),
    }
    std::fs::write(path, text)?;
    Ok(())
}

/// The plan is another ERP, which gets what the first one does.
fn with_the_plan(text: String, origins: &Origins) -> anyhow::Result<String> {
    let (erp, plan) = (&origins.erp, &origins.plan);
    let next = "\n[[plugin]]\nname = \"x12-orders\"";
    ensure!(text.contains(next), "the demo's configuration has no `{next}`");
    let text = text.replacen(next, &format!("{}{next}", egress(plan)), 1);
    let target = text.find("[[target]]\nid = \"erp\"").and_then(|at| text.get(at..)).context("the demo has no ERP")?;
    let target = target.split("\n\n").next().unwrap_or_default();
    let target = target
        .replace("id = \"erp\"", "id = \"plan\"")
        .replace(erp, plan)
        .replace("\nreceipt = \"order.accepted\"", "");
    Ok(format!("{text}\n{target}\n{EFFECTS_OF_THE_PLAN}"))
}

fn egress(origin: &str) -> String {
    format!("\n[[plugin.egress]]\norigin = \"{origin}\"\nrequests_per_second = 20000\n")
}

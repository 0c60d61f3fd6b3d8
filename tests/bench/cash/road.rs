//! The road from order to cash: the configuration of `throughput`, with a warehouse and a demand
//! plan behind the ERP; and on the whole road with what comes after the goods (`finance`).

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

    /// Deliveries of each order: its booking, its release, and two to the demand plan; on the whole
    /// road its posting, its tax and three messages to its customer as well.
    pub(crate) fn deliveries(self) -> u64 {
        match self {
            Self::Short => 4,
            Self::Whole => 9,
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

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "short",
            Self::Whole => "whole",
        })
    }
}

/// What follows from what the ERP and the warehouse say.
const EFFECTS: &str = r#"
[[effect]]
on = "order.accepted"
to = ["accepted"]
target = "warehouse"
sends = "order"

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

/// Writes it into the folder.
pub(crate) fn write(folder: &Path, origins: &Origins, road: Road) -> anyhow::Result<()> {
    setup::write(folder, &origins.erp, false)?;
    let path = folder.join(CONFIG).join("portreeve.toml");
    let mut text = std::fs::read_to_string(&path)?;
    let Origins { warehouse, plan, .. } = origins;
    let changes = [
        // The ERP's receipt is its word that it has the order.
        (
            "kind = \"business-central/sales-order\"",
            "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"".to_owned(),
        ),
        ("\n[[plugin]]\nname = \"x12-orders\"", format!("{}\n[[plugin]]\nname = \"x12-orders\"", egress(plan))),
    ];
    for (what, with) in changes {
        ensure!(text.contains(what), "the demo's configuration has no `{what}`");
        text = text.replacen(what, &with, 1);
    }
    text.push_str(&format!(
        "\n[[plugin]]\nname = \"wms-rest\"\ncomponent = \"wms-rest.wasm\"\nrequests_per_second = 20000\n\
         grant = {{ http = [\"GET\", \"POST\"], limits = {{ wall_ms = 45000 }} }}\n{}\
         \n[[plugin]]\nname = \"wms-documents\"\ncomponent = \"wms-documents.wasm\"\n\
         \n[[sender]]\nchannel = \"wms\"\nid = \"wms\"\ntoken_sha256 = \"{}\"\n\
         \n[[channel]]\nid = \"wms\"\nconnector = \"wms-rest\"\ndocuments = {{ \"wms-rest/event\" = \"wms-documents\" }}\n\
         target = \"erp\"\nexception_queue = \"integration\"\nsays = [\"inventory.allocated\", \"shipment.picked\", \
         \"shipment.packed\", \"shipment.dispatched\", \"shipment.confirmed\"]\n\
         \n[[target]]\nid = \"warehouse\"\nconnector = \"wms-rest\"\ntransformer = \"wms-documents\"\n\
         kind = \"wms-rest/release\"\norigin = \"{warehouse}\"\nexception_queue = \"integration\"\nfind = true\n\
         find_after_ms = 1000\ndeliveries_max = 256\nsettings = {{ base-url = \"{warehouse}/api/v1\" }}\n",
        egress(warehouse),
        Digest::of(WAREHOUSE_TOKEN.as_bytes()),
    ));
    let target = text.find("[[target]]\nid = \"erp\"").and_then(|at| text.get(at..)).context("the demo has no ERP")?;
    let target = target.split("\n\n").next().unwrap_or_default();
    let target = target
        .replace("id = \"erp\"", "id = \"plan\"")
        .replace(&origins.erp, plan)
        .replace("\nreceipt = \"order.accepted\"", "");
    text.push_str(&format!("\n{target}\n{EFFECTS}"));
    if road == Road::Whole {
        text.push_str(&finance::configured(folder, origins)?);
    }
    std::fs::write(path, text)?;
    Ok(())
}

fn egress(origin: &str) -> String {
    format!("\n[[plugin.egress]]\norigin = \"{origin}\"\nrequests_per_second = 20000\n")
}

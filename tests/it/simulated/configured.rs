//! The host of the simulation: an ERP that accepts an order by taking it, posts what left and
//! credits what came back, a warehouse that gets it then, a payment processor and a tax service.
//!
//! A cancelled order is stopped in the warehouse first, and then taken out of the ERP; one that has
//! left comes back whole. What the ERP posts is fetched, told to the tax service, and what is kept
//! above it goes back to whoever paid.

use std::fmt;
use std::str::FromStr;

use portreeve::standins::erp::COMPANY;
use portreeve::standins::{Drawn, Erp, Mischief, Payments, TAX_COMPANY, Taxes, Wms};
use portreeve_model::Digest;

use super::Lacks;
use super::plan::{Draw, Record};
use crate::support::Setup;

pub(super) const WAREHOUSE: &str = "wms";
pub(super) const PROCESSOR: &str = "payments";
pub(super) const TOKEN: &str = "token-of-the-systems";

/// Half of what is tried goes wrong once, somehow.
const MOODY: Mischief = Mischief {
    throttle_per_mille: 150,
    fail_before_per_mille: 150,
    drop_after_per_mille: 200,
    reject_per_mille: 0,
    slow_per_mille: 1,
};

/// How patient the host is with systems, and how often one takes longer than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// How whoever makes a run again calls it.
    name: &'static str,
    /// How long a system may take to answer.
    answer_ms: u32,
    /// How many of a thousand attempts take longer.
    slow_per_mille: u16,
}

impl Pace {
    /// None of the systems takes longer but the slow ones. Where the machine is slower than that, an
    /// answer more is lost.
    pub(super) const USUAL: Self = Self { name: "usual", answer_ms: 2_000, slow_per_mille: MOODY.slow_per_mille };

    /// No answer comes late, and no machine is so slow that one is taken for lost: what is lost is what
    /// was drawn.
    pub(super) const TIMELESS: Self = Self { name: "timeless", answer_ms: 10_000, slow_per_mille: 0 };

    fn mood(self) -> Mischief {
        Mischief { slow_per_mille: self.slow_per_mille, ..MOODY }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Pace {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::USUAL, Self::TIMELESS].into_iter().find(|pace| pace.name == name).ok_or(())
    }
}

/// How long a plugin may take: a machine that stands still for a while is no fault of it.
const PATIENT: &str = "limits = { wall_ms = 120000 }";

/// How long a call of a payment or a tax connector may take, which is all that their manifests ask for.
const MONEY_MS: u32 = 65_000;

/// The systems beside the ERP.
pub(super) struct Systems {
    pub(super) wms: Wms,
    pub(super) payments: Payments,
    pub(super) taxes: Taxes,
}

impl Systems {
    /// What goes wrong at each follows from the seed, and from what is tried.
    pub(super) async fn start(seed: u64, pace: Pace) -> Self {
        let mood = pace.mood();
        let systems = Self {
            wms: Wms::start(mood).await.unwrap(),
            payments: Payments::start(mood).await.unwrap(),
            taxes: Taxes::start(mood).await.unwrap(),
        };
        systems.wms.draw_by(Draw::of(seed, "wms", &[]).next());
        systems.payments.draw_by(Draw::of(seed, "payments", &[]).next());
        systems.taxes.draw_by(Draw::of(seed, "tax", &[]).next());
        systems
    }

    /// What was drawn at them and at the ERP.
    pub(super) fn drawn(&self, erp: &Erp) -> Record {
        let systems = [
            ("erp", erp.drawn()),
            ("wms", self.wms.drawn()),
            ("payments", self.payments.drawn()),
            ("tax", self.taxes.drawn()),
        ];
        let told = |system: &str, drawn: Drawn| {
            let Drawn { about, attempt, trick } = drawn;
            (format!("{system}: {about} {attempt}"), trick.unwrap_or("nothing").to_owned())
        };
        systems.into_iter().flat_map(|(system, drawn)| drawn.into_iter().map(move |it| told(system, it))).collect()
    }
}

/// What follows from what is said of an order.
const EFFECTS: &str = "
[[effect]]
on = \"order.accepted\"
to = [\"accepted\"]
target = \"warehouse\"
sends = \"order\"

[[effect]]
on = \"order.accepted\"
to = [\"cancelling\"]
target = \"warehouse\"
kind = \"wms-rest/stop\"
receipt = \"order.rejected\"

[[effect]]
on = \"order.cancel-requested\"
to = [\"cancelling\"]
target = \"warehouse\"
kind = \"wms-rest/stop\"
receipt = \"order.rejected\"

[[effect]]
on = \"order.rejected\"
from = [\"cancelling\"]
target = \"erp\"
kind = \"business-central/cancel\"

[[effect]]
on = \"shipment.confirmed\"
target = \"erp\"
kind = \"business-central/ship-and-invoice\"

[[effect]]
on = \"invoice.posted\"
target = \"tax\"

[[effect]]
on = \"order.cancel-requested\"
from = [\"shipped\", \"invoiced\", \"settled\"]
target = \"warehouse\"
kind = \"wms-rest/expect-return\"

[[effect]]
on = \"return.received\"
target = \"erp\"
kind = \"business-central/credit-memo\"

[refunds]
target = \"payments\"
causes = [\"cancelled-prepayment\", \"short-shipment\", \"goods-return\"]
amount_max_minor = { USD = 100000 }
";

pub(super) fn setup(systems: &Systems, pace: Pace, lacks: Lacks) -> Setup {
    let Systems { wms, payments, taxes } = systems;
    let http = "http = [\"GET\", \"POST\"]";
    let (patient, money) = (format!("{{ {PATIENT} }}"), format!("{{ {http}, limits = {{ wall_ms = {MONEY_MS} }} }}"));
    Setup::demo()
        .mischief(pace.mood())
        .scorers(&[])
        .answered_within_ms(pace.answer_ms)
        .grant("x12-orders", &patient)
        .grant("business-central", &patient)
        .plugin("wms-rest", &format!("{{ {http}, {PATIENT} }}"))
        .append("portreeve.toml", &egress(&wms.origin()))
        .plugin("stripe", &money)
        .append("portreeve.toml", &egress(&payments.origin()))
        .plugin("avatax", &money)
        .append("portreeve.toml", &egress(&taxes.origin()))
        .quick("wms-rest")
        .quick("stripe")
        .quick("avatax")
        .plugin("wms-documents", &patient)
        .plugin("stripe-events", &patient)
        .plugin("avatax-transactions", &patient)
        .replace(
            "portreeve.toml",
            "kind = \"business-central/sales-order\"",
            "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"",
        )
        .append("portreeve.toml", &channels(pace.answer_ms))
        .append("portreeve.toml", &targets(systems, pace.answer_ms))
        .append("portreeve.toml", EFFECTS)
        .lacking(lacks)
}

impl Setup {
    /// A plugin sends as fast as a day's orders in a minute want it.
    fn quick(self, plugin: &str) -> Self {
        let name = format!("name = \"{plugin}\"");
        self.replace("portreeve.toml", &name, &format!("{name}\nrequests_per_second = 20000"))
    }

    fn lacking(self, lacks: Lacks) -> Self {
        let target = |id: &str| format!("[[target]]\nid = \"{id}\"\nfind = true");
        match lacks {
            Lacks::Find => self.replace("portreeve.toml", "find = true", "find = false"),
            Lacks::FindOf(id) => {
                self.replace("portreeve.toml", &target(id), &target(id).replace("find = true", "find = false"))
            }
            Lacks::Nothing | Lacks::Memory => self,
        }
    }
}

fn egress(origin: &str) -> String {
    format!("[[plugin.egress]]\norigin = \"{origin}\"\nrequests_per_second = 20000\n")
}

/// How the systems are heard: the warehouse and the processor say what they did, and what the ERP
/// posted is fetched.
fn channels(answer_ms: u32) -> String {
    let heard = |id: &str, connector: &str, transformer: &str, kind: &str, says: &str| {
        format!(
            "\n[[sender]]\nchannel = \"{id}\"\nid = \"{id}\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"{id}\"\n\
             connector = \"{connector}\"\ndocuments = {{ \"{kind}\" = \"{transformer}\" }}\ntarget = \"erp\"\n\
             exception_queue = \"integration\"\nsays = [{says}]\n",
            Digest::of(TOKEN.as_bytes())
        )
    };
    let warehouse = "\"inventory.allocated\", \"shipment.picked\", \"shipment.packed\", \"shipment.dispatched\", \
                     \"shipment.confirmed\", \"return.received\"";
    let poll = |id: &str, list: &str| {
        format!(
            "\n[[poll]]\nid = \"{id}\"\nchannel = \"ledger\"\nevery_seconds = 5\norigin = \"${{ERP_ORIGIN}}\"\n\
             settings = {{ poll = \"{list}\", poll-since = \"2026-03-01T00:00:00Z\", poll-overlap-seconds = \"60\", \
             poll-page = \"200\" }}\n"
        )
    };
    let ledger = format!(
        "\n[[channel]]\nid = \"ledger\"\nconnector = \"erp-rest\"\ntarget = \"erp\"\nexception_queue = \"integration\"\n\
         documents = {{ \"business-central/sales-invoice\" = \"business-central\", \"business-central/sales-credit-memo\" = \"business-central\" }}\n\
         says = [\"invoice.posted\"]\nsettings = {{ base-url = \"${{ERP_ORIGIN}}/api/v2.0\", company = \"{COMPANY}\", \
         account-unit = \"EA\", discount-line = \"DISCOUNT\", tax-code = \"NT\", answer-timeout-ms = \"{answer_ms}\" }}\n"
    );
    [
        heard(WAREHOUSE, "wms-rest", "wms-documents", "wms-rest/event", warehouse),
        heard(PROCESSOR, "stripe", "stripe-events", "stripe/event", "\"payment.settled\", \"refund.issued\""),
        ledger,
        poll("invoices", "salesInvoices"),
        poll("credit-memos", "salesCreditMemos"),
    ]
    .concat()
}

fn targets(systems: &Systems, answer_ms: u32) -> String {
    let Systems { wms, payments, taxes } = systems;
    let target = |id: &str, plugins: [&str; 2], kind: &str, origin: &str, settings: &str| {
        let [connector, transformer] = plugins;
        format!(
            "\n[[target]]\nid = \"{id}\"\nfind = true\nfind_after_ms = 1000\nconnector = \"{connector}\"\n\
             transformer = \"{transformer}\"\nkind = \"{kind}\"\norigin = \"{origin}\"\nexception_queue = \"integration\"\n\
             settings = {{ answer-timeout-ms = \"{answer_ms}\", {settings} }}\n"
        )
    };
    let (processor, tax) = (payments.origin(), taxes.origin());
    let from = "ship-from-line1 = \"1 Quay Road\", ship-from-city = \"Portland\", ship-from-region = \"ME\", \
                ship-from-postal-code = \"04101\", ship-from-country = \"US\"";
    [
        target(
            "warehouse",
            ["wms-rest", "wms-documents"],
            "wms-rest/release",
            &wms.origin(),
            &format!("base-url = \"{}\"", wms.base_url()),
        ),
        target(
            "payments",
            ["stripe", "stripe-events"],
            "stripe/refund",
            &processor,
            &format!("base-url = \"{processor}\""),
        ),
        target(
            "tax",
            ["avatax", "avatax-transactions"],
            "avatax/transaction",
            &tax,
            &format!("base-url = \"{tax}\", company-code = \"{TAX_COMPANY}\", {from}"),
        ),
    ]
    .concat()
}

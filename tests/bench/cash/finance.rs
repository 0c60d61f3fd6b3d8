//! What comes after the goods: the ERP invoices what left and is asked what it posted, the tax
//! service gets each invoice, customers hear over X12 of their order, of its shipment and of what
//! they owe, and the payment processor says that they paid. Whoever reports on orders hears each of
//! these events as a CloudEvent, signed after Standard Webhooks. It is wired as the demo's
//! `order-to-cash.toml` has it, with the ERP's poll alone: no notification wakes it.
//!
//! Customers acknowledge nothing here: their 997s have days in which to come, and do not hold an
//! order up.

use std::path::Path;

use anyhow::Context;
use portreeve::standins::TAX_COMPANY;
use portreeve::standins::payment::WEBHOOK_SECRET;

use crate::standins::Origins;

/// Plugins, senders, channels, the poll, targets and effects.
const CONFIGURATION: &str = r#"
[[plugin]]
name = "stripe"
component = "stripe.wasm"
grant = { http = ["GET", "POST"], limits = { wall_ms = 65000 } }

[[plugin.egress]]
origin = "${PAYMENTS_ORIGIN}"
requests_per_second = 20000

[[plugin]]
name = "avatax"
component = "avatax.wasm"
requests_per_second = 20000
grant = { http = ["GET", "POST"], limits = { wall_ms = 65000 } }

[[plugin.egress]]
origin = "${TAX_ORIGIN}"
requests_per_second = 20000

[[plugin]]
name = "x12-send"
component = "x12-send.wasm"
requests_per_second = 20000
grant = { http = ["POST"], limits = { wall_ms = 45000 } }

[[plugin.egress]]
origin = "${CUSTOMERS_ORIGIN}"
requests_per_second = 20000

[[plugin]]
name = "standard-webhooks"
component = "standard-webhooks.wasm"
requests_per_second = 20000
grant = { http = ["POST"], limits = { wall_ms = 45000 } }

[[plugin.egress]]
origin = "${FEED_ORIGIN}"
requests_per_second = 20000

[[plugin]]
name = "cloudevents-documents"
component = "cloudevents-documents.wasm"

[[plugin]]
name = "x12-out"
component = "x12-out.wasm"

[[plugin]]
name = "stripe-events"
component = "stripe-events.wasm"

[[plugin]]
name = "avatax-transactions"
component = "avatax-transactions.wasm"

[[sender]]
channel = "payments"
id = "stripe"
stripe_secret_file = "${PAYMENTS_SECRET_FILE}"

[[channel]]
id = "payments"
connector = "stripe"
documents = { "stripe/event" = "stripe-events" }
target = "erp"
exception_queue = "integration"
says = ["payment.settled"]

[[channel]]
id = "ledger"
connector = "erp-rest"
documents = { "business-central/sales-invoice" = "business-central" }
target = "erp"
exception_queue = "integration"
says = ["invoice.posted"]
settings = { base-url = "${ERP_ORIGIN}/api/v2.0", company = "6b3a3a3e-6c1f-4a0e-9a53-0d1c5a7e2f10", account-unit = "EA", discount-line = "DISCOUNT", tax-code = "NT" }

# Many at once, and a second asked for twice: the ERP posts hundreds in each.
[[poll]]
id = "invoices"
channel = "ledger"
every_seconds = 1
origin = "${ERP_ORIGIN}"
settings = { poll = "salesInvoices", poll-since = "2026-03-01T00:00:00Z", poll-page = "200", poll-overlap-seconds = "1" }

[[target]]
id = "tax"
connector = "avatax"
transformer = "avatax-transactions"
kind = "avatax/transaction"
origin = "${TAX_ORIGIN}"
exception_queue = "integration"
find = true
find_after_ms = 1000
deliveries_max = 256
settings = { base-url = "${TAX_ORIGIN}", company-code = "${TAX_COMPANY}", ship-from-line1 = "1 Quay Road", ship-from-city = "Portland", ship-from-region = "ME", ship-from-postal-code = "04101", ship-from-country = "US" }

[[target]]
id = "customers"
connector = "x12-send"
transformer = "x12-out"
kind = "x12/855"
origin = "${CUSTOMERS_ORIGIN}"
exception_queue = "integration"
find = false
find_after_ms = 1000
deliveries_max = 256
with_order = true
settings = { base-url = "${CUSTOMERS_ORIGIN}", sender = "ZZ:PORTREEVE", usage = "P" }

[target.interchange]
knows_repeats = true
partner_parts = 2

[[subscriber]]
id = "analytics"
channels = ["edi"]
fields = ["order.number"]
url = "${FEED_ORIGIN}/hooks/orders"
secret = { file = "${FEED_SECRET_FILE}" }
connector = "standard-webhooks"
transformer = "cloudevents-documents"
exception_queue = "integration"
deliveries_max = 256

[[effect]]
on = "order.accepted"
target = "customers"
kind = "x12/855"

[[effect]]
on = "shipment.confirmed"
target = "customers"
kind = "x12/856"

[[effect]]
on = "invoice.posted"
target = "customers"
kind = "x12/810"

[[effect]]
on = "shipment.confirmed"
target = "erp"
kind = "business-central/ship-and-invoice"

[[effect]]
on = "invoice.posted"
target = "tax"
"#;

/// What the feed's messages are signed with: the one of the standard's own examples.
pub(crate) const FEED_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What is added to the configuration, which is in this folder with the secrets.
pub(crate) fn configured(folder: &Path, origins: &Origins) -> anyhow::Result<String> {
    let kept = |name: &str, secret: &str| {
        let path = folder.join(name);
        std::fs::write(&path, secret).with_context(|| format!("`{name}` cannot be written"))?;
        anyhow::Ok(path.display().to_string())
    };
    let (processors, feeds) = (kept("payments.secret", WEBHOOK_SECRET)?, kept("feed.secret", FEED_SECRET)?);
    let Origins { erp, taxes, payments, customers, feed, .. } = origins;
    let filled_in = [
        ("${ERP_ORIGIN}", erp.as_str()),
        ("${TAX_ORIGIN}", taxes.as_str()),
        ("${TAX_COMPANY}", TAX_COMPANY),
        ("${PAYMENTS_ORIGIN}", payments.as_str()),
        ("${PAYMENTS_SECRET_FILE}", processors.as_str()),
        ("${CUSTOMERS_ORIGIN}", customers.as_str()),
        ("${FEED_ORIGIN}", feed.as_str()),
        ("${FEED_SECRET_FILE}", feeds.as_str()),
    ];
    Ok(filled_in.into_iter().fold(CONFIGURATION.to_owned(), |text, (name, value)| text.replace(name, value)))
}

//! The systems around the host, and how they speak: each over the front door, with what proves
//! it, and each like real ones: twice, and not in the order in which it happened.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_model::value::Decimal;
use portreeve_model::{Digest, Instant};
use serde_json::{Value, json};

use super::ledgers::{Ledgers, Stock};
use crate::demo::feed::{self, random_text};
use crate::source_tree::SourceTree;
use crate::standins::erp::PostedLine;
use crate::standins::payment::{Payment, WEBHOOK_SECRET, Webhook};
use crate::standins::shop::{Integration, ShopDocumentKind};
use crate::standins::wms::NODE;
use crate::standins::{Erp, Mischief, Payments, Shop, TAX_COMPANY, Taxes, Wms};
use crate::{client, files};

/// How the systems misbehave: one message in five meets it, once or twice.
const MISCHIEF: Mischief = Mischief {
    throttle_per_mille: 60,
    fail_before_per_mille: 40,
    drop_after_per_mille: 100,
    reject_per_mille: 0,
    slow_per_mille: 0,
};

/// What every item begins with, in both systems that keep stock.
const STOCK: Decimal = Decimal { units: 5_000, scale: 0 };

/// Items that are invoiced and never shipped.
pub(super) const FREIGHT: &str = "FREIGHT";
pub(super) const DISCOUNT: &str = "DISCOUNT";

/// AvaTax's code for what is not taxable.
const NOT_TAXABLE: &str = "NT";

/// Events of one message, as the warehouse sends them.
const EVENTS_AT_ONCE: usize = 16;

/// The stand-ins, and what was told of their ledgers.
pub(super) struct Systems {
    pub(super) erp: Erp,
    pub(super) warehouse: Wms,
    pub(super) payments: Payments,
    pub(super) shop: Shop,
    taxes: Taxes,
    skus: Vec<String>,
    invoices_told: usize,
    memos_told: usize,
    refunds_told: usize,
}

/// What senders prove themselves with, and the host to the shop, made anew for every run.
pub(super) struct Secrets {
    shop: feed::Secrets,
    integration: Integration,
    consumer_file: PathBuf,
    token_file: PathBuf,
    warehouse: String,
    finance: String,
    service: String,
    payments_file: PathBuf,
}

impl Secrets {
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        let written = |name: &str, secret: &str| {
            let file = folder.join("secrets").join(name);
            files::write_private(&file, secret.as_bytes())?;
            anyhow::Ok(file)
        };
        let integration = Integration {
            consumer_key: "portreeve".to_owned(),
            consumer_secret: random_text()?,
            token: "orders".to_owned(),
            token_secret: random_text()?,
        };
        let payments_file = written("payments", WEBHOOK_SECRET)?;
        Ok(Self {
            shop: feed::Secrets::new(folder)?,
            consumer_file: written("shop-consumer", &integration.consumer_secret)?,
            token_file: written("shop-token", &integration.token_secret)?,
            integration,
            warehouse: random_text()?,
            finance: random_text()?,
            service: random_text()?,
            payments_file,
        })
    }
}

impl Systems {
    pub(super) async fn start(tree: &SourceTree, secrets: &Secrets) -> anyhow::Result<Self> {
        let items = tree.demo().join("reference/item.csv");
        let items = std::fs::read_to_string(&items).with_context(|| format!("`{}` cannot be read", items.display()))?;
        let skus: Vec<String> =
            items.lines().skip(1).filter_map(|line| line.split(',').next()).map(str::to_owned).collect();
        let failed = "a stand-in cannot start";
        let systems = Self {
            erp: Erp::start(MISCHIEF).await.context(failed)?,
            warehouse: Wms::start(MISCHIEF).await.context(failed)?,
            payments: Payments::start(MISCHIEF).await.context(failed)?,
            shop: Shop::start_for(Some(secrets.integration.clone()), MISCHIEF).await.context(failed)?,
            taxes: Taxes::start(MISCHIEF).await.context(failed)?,
            skus,
            invoices_told: 0,
            memos_told: 0,
            refunds_told: 0,
        };
        for sku in &systems.skus {
            systems.erp.put(sku, STOCK);
            systems.warehouse.put(NODE, sku, STOCK);
        }
        Ok(systems)
    }

    /// What a run's configuration has in place of `${…}`.
    pub(super) fn filled_in(&self, secrets: &Secrets) -> Vec<(&'static str, String)> {
        let digest = |token: &str| Digest::of(token.as_bytes()).to_string();
        vec![
            ("${ERP_ORIGIN}", self.erp.origin()),
            ("${WMS_ORIGIN}", self.warehouse.origin()),
            ("${PAYMENTS_ORIGIN}", self.payments.origin()),
            ("${SHOP_ORIGIN}", self.shop.origin()),
            ("${SHOP_BASE_URL}", self.shop.base_url()),
            ("${SHOP_CONSUMER_KEY}", secrets.integration.consumer_key.clone()),
            ("${SHOP_CONSUMER_FILE}", secrets.consumer_file.display().to_string()),
            ("${SHOP_TOKEN}", secrets.integration.token.clone()),
            ("${SHOP_TOKEN_FILE}", secrets.token_file.display().to_string()),
            ("${TAX_ORIGIN}", self.taxes.origin()),
            ("${TAX_COMPANY}", TAX_COMPANY.to_owned()),
            ("${EDI_TOKEN_SHA256}", digest(&secrets.shop.edi_token)),
            ("${WMS_TOKEN_SHA256}", digest(&secrets.warehouse)),
            ("${FINANCE_TOKEN_SHA256}", digest(&secrets.finance)),
            ("${SERVICE_TOKEN_SHA256}", digest(&secrets.service)),
            ("${SHOP_SECRET_FILE}", secrets.shop.shop_secret_file.display().to_string()),
            ("${PAYMENTS_SECRET_FILE}", secrets.payments_file.display().to_string()),
        ]
    }

    pub(super) fn ledgers(&self) -> Ledgers {
        let stock = |sku: &String| Stock {
            sku: sku.clone(),
            levels: vec![("ERP", self.erp.stock(sku)), ("warehouse", self.warehouse.stock(NODE, sku))],
        };
        Ledgers {
            sales_orders: self.erp.sales_orders(),
            invoices: self.erp.invoices(),
            credit_memos: self.erp.credit_memos(),
            releases: self.warehouse.releases(),
            shipments: self.warehouse.shipments(),
            returns: self.warehouse.returns(),
            payments: self.payments.payments(),
            refunds: self.payments.refunds(),
            taxes: self.taxes.transactions(),
            shop_orders: self.shop.orders(),
            shop_shipments: self.shop.documents(ShopDocumentKind::Shipment),
            shop_invoices: self.shop.documents(ShopDocumentKind::Invoice),
            shop_refunds: self.shop.documents(ShopDocumentKind::CreditMemo),
            stock: self.skus.iter().map(stock).collect(),
        }
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let failed = "a stand-in failed";
        self.erp.stop().await.context(failed)?;
        self.warehouse.stop().await.context(failed)?;
        self.payments.stop().await.context(failed)?;
        self.shop.stop().await.context(failed)?;
        self.taxes.stop().await.context(failed)
    }
}

/// The way to the host, and how often it heard something.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) secrets: Secrets,
    pub(super) said: u64,
    /// Of these, what it had heard before.
    pub(super) again: u64,
}

impl Door {
    /// A customer's interchange arrives, and arrives once more.
    pub(super) async fn edi(&mut self, file: &[u8]) -> anyhow::Result<()> {
        let token = format!("Bearer {}", self.secrets.shop.edi_token);
        self.post("edi", &[("authorization", &token)], file).await?;
        self.again += 1;
        self.post("edi", &[("authorization", &token)], file).await
    }

    /// The shop tells of an order, twice.
    pub(super) async fn shop(&mut self, order: &[u8]) -> anyhow::Result<()> {
        let signature = self.secrets.shop.sign(order)?;
        self.post("shop", &[("x-portreeve-signature", &signature)], order).await?;
        self.again += 1;
        self.post("shop", &[("x-portreeve-signature", &signature)], order).await
    }

    /// The warehouse tells what it did, the last thing first, and every third thing once more, in a
    /// message of its own name where it has a number by which that is known for the same.
    pub(super) async fn warehouse(&mut self, mut events: Vec<String>) -> anyhow::Result<()> {
        events.reverse();
        let again = events.iter().step_by(3).map(|event| match event.contains("\"shipmentNumber\":") {
            true => event.replacen("\"id\":\"", "\"id\":\"again-", 1),
            false => event.clone(),
        });
        let again: Vec<String> = again.collect();
        self.again += u64::try_from(again.len()).unwrap_or(u64::MAX);
        let token = format!("Bearer {}", self.secrets.warehouse);
        let json = [("authorization", token.as_str()), ("content-type", "application/json")];
        for events in events.chunks(EVENTS_AT_ONCE).chain(again.chunks(EVENTS_AT_ONCE)) {
            self.post("warehouse", &json, format!("[{}]", events.join(",")).as_bytes()).await?;
        }
        Ok(())
    }

    /// Finance tells what it posted since.
    pub(super) async fn finance(&mut self, systems: &mut Systems) -> anyhow::Result<()> {
        let (invoices, memos) = (systems.erp.invoices(), systems.erp.credit_memos());
        let mut told = Vec::new();
        for invoice in invoices.iter().skip(systems.invoices_told) {
            let data = posted(
                &invoice.number,
                &invoice.external_document_number,
                &invoice.lines,
                hundredths(&invoice.total)?,
            )?;
            told.push(("invoice.posted", &invoice.number, data));
        }
        for memo in memos.iter().skip(systems.memos_told) {
            let total = hundredths(&memo.total)?.saturating_abs().saturating_neg();
            let mut data = posted(&memo.number, &memo.external_document_number, &memo.lines, total)?;
            with(&mut data, "corrects", json!(memo.corrects));
            told.push(("invoice.posted", &memo.number, data));
        }
        (systems.invoices_told, systems.memos_told) = (invoices.len(), memos.len());
        let token = self.secrets.finance.clone();
        self.cloud_events("finance", &token, told.into_iter().map(|(kind, id, data)| (kind, id.clone(), data))).await
    }

    /// Customer service tells that boxes of an order's line are to come back.
    pub(super) async fn service(&mut self, order: &str, line: &str, number: &str, boxes: i64) -> anyhow::Result<()> {
        let line = json!({"lineNumber": line, "sku": super::case::PLAIN.sku, "quantity": {"value": boxes.to_string(), "scale": 0, "unit": "BX"}});
        let data = json!({"orderNumber": order, "returnNumber": number, "lines": [line]});
        let token = self.secrets.service.clone();
        self.cloud_events("service", &token, [("return.requested", number.to_owned(), data)]).await
    }

    /// The payment processor tells of a payment, twice.
    pub(super) async fn paid(&mut self, systems: &Systems, payment: &Payment, now: Instant) -> anyhow::Result<()> {
        self.webhook(systems.payments.paid(payment, now.0 / 1_000)).await?;
        self.again += 1;
        self.webhook(systems.payments.paid(payment, now.0 / 1_000)).await
    }

    /// The payment processor tells of the refunds that it made since.
    pub(super) async fn refunded(&mut self, systems: &mut Systems, now: Instant) -> anyhow::Result<()> {
        let refunds = systems.payments.refunds();
        for refund in refunds.iter().skip(systems.refunds_told) {
            self.webhook(systems.payments.refunded(refund, now.0 / 1_000)).await?;
        }
        systems.refunds_told = refunds.len();
        Ok(())
    }

    async fn webhook(&mut self, webhook: Webhook) -> anyhow::Result<()> {
        let headers = [("stripe-signature", webhook.signature.as_str()), ("content-type", "application/json")];
        self.post("payments", &headers, webhook.body.as_bytes()).await
    }

    async fn cloud_events(
        &mut self,
        channel: &str,
        token: &str,
        events: impl IntoIterator<Item = (&'static str, String, Value)>,
    ) -> anyhow::Result<()> {
        let token = format!("Bearer {token}");
        let json = [("authorization", token.as_str()), ("content-type", "application/cloudevents-batch+json")];
        let event = |(kind, id, data): (&str, String, Value)| json!({"specversion": "1.0", "id": format!("{kind} {id}"), "source": format!("/{channel}"), "type": kind, "data": data});
        let events: Vec<Value> = events.into_iter().map(event).collect();
        for events in events.chunks(EVENTS_AT_ONCE) {
            self.post(channel, &json, json!(events).to_string().as_bytes()).await?;
        }
        Ok(())
    }

    async fn post(&mut self, channel: &str, headers: &[(&str, &str)], body: &[u8]) -> anyhow::Result<()> {
        self.said += 1;
        let path = format!("/v1/channels/{channel}");
        let answer = client::send(self.address, Method::POST, &path, headers, Bytes::copy_from_slice(body)).await?;
        if answer.status >= 300 {
            bail!("channel `{channel}` answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }
}

/// A posted invoice, or with a total below nothing a credit memo, as finance tells it. Who buys and where the goods go
/// is what the tax service asks for.
fn posted(number: &str, order: &str, lines: &[PostedLine], total: i64) -> anyhow::Result<Value> {
    let mut charged = 0_i64;
    let mut told_lines = Vec::new();
    for line in lines {
        let amount = hundredths(&line.amount)?.saturating_mul(total.signum());
        charged = charged.saturating_add(amount);
        told_lines.push(told(line, amount));
    }
    // What the ERP charges beside its items, it charges in one line.
    let beside = total.saturating_sub(charged);
    if beside != 0 {
        let sku = if beside.signum() == total.signum() { FREIGHT } else { DISCOUNT };
        told_lines.push(json!({
            "lineNumber": sku, "sku": sku, "quantity": {"value": "1", "scale": 0, "unit": "EA"},
            "unitPrice": {"amount": beside.to_string(), "scale": 2, "currency": "USD", "perQuantity": 1},
            "extended": money(beside),
        }));
    }
    let where_to: BTreeMap<&str, &str> = [
        ("customer-code", "C-1001"),
        ("ship-to-line1", "230 Commerce Ave"),
        ("ship-to-city", "Tucson"),
        ("ship-to-region", "AZ"),
        ("ship-to-postal-code", "85701"),
        ("ship-to-country", "US"),
        ("tax-date", "2026-03-02"),
    ]
    .into();
    let named = |name: &str, value: &str| json!({"name": format!("avatax:{name}"), "value": value});
    // They buy to sell it again: the tax is their customers'.
    let resold = told_lines.iter().filter_map(|line| line.get("lineNumber")?.as_str());
    let resold = resold.map(|line| named(&format!("tax-code/{line}"), NOT_TAXABLE));
    let extensions = where_to.into_iter().map(|(name, value)| named(name, value)).chain(resold);
    Ok(json!({
        "invoiceNumber": number, "orderNumber": hyphened(order), "postedOn": "2026-03-02", "lines": told_lines,
        "total": money(total), "extensions": extensions.collect::<Vec<_>>(),
    }))
}

fn told(line: &PostedLine, amount: i64) -> Value {
    let (quantity, price) = (&line.quantity, &line.unit_price);
    json!({
        "lineNumber": line.line_number, "sku": line.item_number,
        "quantity": {"value": quantity.units.to_string(), "scale": quantity.scale, "unit": line.unit},
        "unitPrice": {"amount": price.units.to_string(), "scale": price.scale, "currency": "USD", "perQuantity": 1},
        "extended": money(amount),
    })
}

fn money(minor: i64) -> Value {
    json!({"minor": minor.to_string(), "currency": "USD"})
}

fn with(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// An amount in cents; the ERP has nothing finer.
pub(super) fn hundredths(amount: &Decimal) -> anyhow::Result<i64> {
    let Decimal { units, scale } = *amount;
    let whole = match scale {
        0..=2 => units.checked_mul(10_i64.pow(2_u32.saturating_sub(u32::from(scale)))),
        _ => {
            let finer = 10_i64.pow(u32::from(scale).saturating_sub(2));
            (units % finer == 0).then_some(units / finer)
        }
    };
    whole.with_context(|| format!("the ERP has an amount of {amount}, which is no number of cents"))
}

/// The host's id of an order, of which the ERP leaves the hyphens out.
fn hyphened(order: &str) -> String {
    let digits: Vec<char> = order.chars().filter(|character| *character != '-').collect();
    let parts = [(0, 8), (8, 4), (12, 4), (16, 4), (20, 12)];
    let part = |(start, length): (usize, usize)| digits.iter().skip(start).take(length).collect::<String>();
    parts.map(part).join("-")
}

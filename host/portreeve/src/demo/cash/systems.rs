//! The systems around the host: each is started, filled into the configuration, read and stopped
//! here and nowhere else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portreeve_model::value::Decimal;
use portreeve_model::{Digest, Instant};
use portreeve_pipeline::Clock;

use super::ledgers::{Ledgers, Stock};
use crate::clock::SetClock;
use crate::demo::feed::random_text;
use crate::files;
use crate::source_tree::SourceTree;
use crate::standins::partner::Partner;
use crate::standins::payment::WEBHOOK_SECRET;
use crate::standins::shop::{Integration, ShopDocumentKind, WEBHOOK_PUBLIC_KEY};
use crate::standins::subscriber::Subscriber;
use crate::standins::wms::NODE;
use crate::standins::{Erp, Mischief, Payments, Shop, Stream, TAX_COMPANY, Taxes, Wms};

/// How the systems misbehave: one message in five meets it, once or twice.
const MISCHIEF: Mischief = Mischief {
    throttle_per_mille: 60,
    fail_before_per_mille: 40,
    drop_after_per_mille: 100,
    reject_per_mille: 0,
    slow_per_mille: 0,
};

/// What every item begins with, in all systems that keep stock.
const STOCK: Decimal = Decimal { units: 5_000, scale: 0 };

/// What is invoiced and never shipped: the ERP's account for freight, and what is taken off.
pub(super) const FREIGHT_ACCOUNT: &str = "6130";
pub(super) const DISCOUNT: &str = "DISCOUNT";

/// The stand-ins, and what was told of their ledgers.
pub(super) struct Systems {
    pub(super) erp: Erp,
    pub(super) warehouse: Wms,
    pub(super) payments: Payments,
    pub(super) shop: Shop,
    pub(super) customers: Partner,
    stream: Stream,
    subscriber: Subscriber,
    /// The subscriber's, which is the host's once that is up.
    clock: Arc<OnceLock<Arc<SetClock>>>,
    taxes: Taxes,
    /// Items, each with its unit.
    items: Vec<(String, String)>,
    pub(super) changes_told: usize,
    pub(super) refunds_told: usize,
}

/// What senders prove themselves with, and the host to the shop, made anew for every run.
pub(super) struct Secrets {
    pub(super) edi_token: String,
    /// The public half of what the shop signs with, the same in every run.
    shop_key_file: PathBuf,
    integration: Integration,
    consumer_file: PathBuf,
    token_file: PathBuf,
    pub(super) warehouse: String,
    pub(super) service: String,
    payments_file: PathBuf,
    pub(super) client_state: String,
    client_state_file: PathBuf,
    subscriber: String,
    subscriber_file: PathBuf,
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
        let client_state = random_text()?;
        let subscriber = format!("whsec_{}", STANDARD.encode(random_text()?));
        Ok(Self {
            edi_token: random_text()?,
            shop_key_file: written("shop.pem", WEBHOOK_PUBLIC_KEY)?,
            consumer_file: written("shop-consumer", &integration.consumer_secret)?,
            token_file: written("shop-token", &integration.token_secret)?,
            integration,
            warehouse: random_text()?,
            service: random_text()?,
            payments_file,
            client_state_file: written("client-state", &client_state)?,
            client_state,
            subscriber_file: written("subscriber", &subscriber)?,
            subscriber,
        })
    }
}

impl Systems {
    pub(super) async fn start(tree: &SourceTree, secrets: &Secrets) -> anyhow::Result<Self> {
        let items = tree.demo().join("reference/item.csv");
        let items = std::fs::read_to_string(&items).with_context(|| format!("`{}` cannot be read", items.display()))?;
        let item = |line: &str| {
            let mut columns = line.split(',');
            Some((columns.next()?.to_owned(), columns.nth(1)?.to_owned()))
        };
        let items: Vec<(String, String)> = items.lines().skip(1).filter_map(item).collect();
        let failed = "a stand-in cannot start";
        let clock: Arc<OnceLock<Arc<SetClock>>> = Arc::default();
        let told = Arc::clone(&clock);
        let now = move || told.get().map_or(Instant(0), |clock| clock.now());
        let systems = Self {
            erp: Erp::start(MISCHIEF).await.context(failed)?,
            warehouse: Wms::start(MISCHIEF).await.context(failed)?,
            payments: Payments::start(MISCHIEF).await.context(failed)?,
            shop: Shop::start_for(Some(secrets.integration.clone()), MISCHIEF).await.context(failed)?,
            customers: Partner::start(MISCHIEF).await.context(failed)?,
            stream: Stream::start(MISCHIEF).await.context(failed)?,
            subscriber: Subscriber::start(&secrets.subscriber, MISCHIEF, now).await.context(failed)?,
            clock,
            taxes: Taxes::start(MISCHIEF).await.context(failed)?,
            items,
            changes_told: 0,
            refunds_told: 0,
        };
        for (sku, unit) in &systems.items {
            systems.erp.put(sku, STOCK);
            systems.warehouse.put_told(NODE, sku, STOCK, unit);
            systems.shop.put(NODE, sku, STOCK);
        }
        Ok(systems)
    }

    /// The host is up: what it says is the time.
    pub(super) fn know_the_time(&self, clock: &Arc<SetClock>) {
        self.clock.get_or_init(|| Arc::clone(clock));
        self.erp.know_the_time(Arc::clone(clock) as _);
        self.shop.know_the_time(Arc::clone(clock) as _);
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
            ("${CUSTOMERS_ORIGIN}", self.customers.origin()),
            ("${STREAM_URL}", self.stream.url()),
            ("${SUBSCRIBER_ORIGIN}", self.subscriber.origin()),
            ("${SUBSCRIBER_URL}", self.subscriber.url()),
            ("${SUBSCRIBER_SECRET_FILE}", secrets.subscriber_file.display().to_string()),
            ("${TAX_ORIGIN}", self.taxes.origin()),
            ("${TAX_COMPANY}", TAX_COMPANY.to_owned()),
            ("${EDI_TOKEN_SHA256}", digest(&secrets.edi_token)),
            ("${WMS_TOKEN_SHA256}", digest(&secrets.warehouse)),
            ("${SERVICE_TOKEN_SHA256}", digest(&secrets.service)),
            ("${SHOP_KEY_FILE}", secrets.shop_key_file.display().to_string()),
            ("${PAYMENTS_SECRET_FILE}", secrets.payments_file.display().to_string()),
            ("${CLIENT_STATE_FILE}", secrets.client_state_file.display().to_string()),
        ]
    }

    pub(super) fn ledgers(&self) -> Ledgers {
        let stock = |(sku, _): &(String, String)| Stock {
            sku: sku.clone(),
            erp: self.erp.stock(sku),
            on_hand: self.warehouse.on_hand(NODE, sku),
            available: self.warehouse.stock(NODE, sku),
            shop: self.shop.stock(NODE, sku),
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
            customers: self.customers.ledger(),
            changes: self.customers.asked(),
            customer_faults: self.customers.faults(),
            heard: self.subscriber.ledger(),
            stream: self.stream.ledger(),
            stock: self.items.iter().map(stock).collect(),
        }
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let failed = "a stand-in failed";
        self.erp.stop().await.context(failed)?;
        self.warehouse.stop().await.context(failed)?;
        self.payments.stop().await.context(failed)?;
        self.shop.stop().await.context(failed)?;
        self.customers.stop().await.context(failed)?;
        self.subscriber.stop().await.context(failed)?;
        self.taxes.stop().await.context(failed)
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

//! Calls of single plugins, as the pipeline makes them but without journal and
//! orders: what a connector and a transformer make of some bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use portreeve_model::document::{
    CheckReport, CheckRequest, Delivery, FindQuery, Header, Inbound, MappingRequest, Message, Receipt,
    RenderingRequest, Setting,
};
use portreeve_model::reference::Row;
use portreeve_model::{ChannelId, Document, Event, Failure, OrderId, PluginName, Received, SenderId};
use portreeve_sandbox::{
    CallContext, Egress, EgressRefused, EgressRequest, Ended, Lookup, LookupError, Numbers, NumbersError, Passage,
    Permitted, Plugin, Signature, ToSign,
};

use crate::support::{MORNING, Setup, TestHost};

/// A host's plugins. Numbers count up from 1, tables have no rows.
pub(crate) struct Plugins {
    host: TestHost,
    context: CallContext,
}

struct CountedUp(AtomicU64);

#[async_trait]
impl Numbers for CountedUp {
    async fn next(&self, _: &str) -> Result<u64, NumbersError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

struct NoRows;

#[async_trait]
impl Lookup for NoRows {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Arc<Row>>, LookupError> {
        Ok(None)
    }
}

/// Settings of a call.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

impl Plugins {
    /// Those of the demo's host.
    pub(crate) async fn demo() -> Self {
        Self::of(Setup::demo()).await
    }

    /// Those of a host that is set up like this.
    pub(crate) async fn of(setup: Setup) -> Self {
        let mut context = CallContext::with_nothing(MORNING);
        context.numbers = Arc::new(CountedUp(AtomicU64::new(0)));
        context.lookup = Arc::new(NoRows);
        Self { host: setup.start().await, context }
    }

    fn plugin(&self, name: &str) -> Plugin {
        let active = self.host.host.pipeline.plugins.now();
        active.installed(&PluginName::parse(name).unwrap()).unwrap().plugin.clone()
    }

    /// What a connector makes of a POST.
    pub(crate) async fn receive(&self, connector: &str, body: &[u8], settings: Settings<'_>) -> Received {
        self.answer(connector, "POST", "/inputs", &[], body, settings).await.unwrap()
    }

    /// What a connector makes of a request.
    pub(crate) async fn answer(
        &self,
        connector: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        settings: Settings<'_>,
    ) -> Result<Received, Failure> {
        let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() });
        let inbound = Inbound {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers.collect(),
            body: body.to_vec(),
            received_at: MORNING,
            sender: sender(),
            settings: given(settings),
        };
        self.plugin(connector).receive(&self.context, &inbound).await.outcome.unwrap()
    }

    /// What a transformer makes of a document.
    pub(crate) async fn map(
        &self,
        transformer: &str,
        document: &Document,
        settings: Settings<'_>,
    ) -> Result<Vec<Event>, Failure> {
        let request = MappingRequest {
            kind: document.kind.clone(),
            body: document.body.clone(),
            received_at: MORNING,
            sender: sender(),
            settings: given(settings),
        };
        self.plugin(transformer).to_canonical(&self.context, &request).await.outcome.unwrap()
    }

    /// What the ERP's transformer makes of an event.
    pub(crate) async fn render(&self, event: Event, settings: Settings<'_>) -> Result<Message, Failure> {
        self.rendered("business-central", "business-central/sales-order", event, settings).await
    }

    /// The message of a kind that a transformer makes of an event of the order [`order_id`].
    pub(crate) async fn rendered(
        &self,
        transformer: &str,
        kind: &str,
        event: Event,
        settings: Settings<'_>,
    ) -> Result<Message, Failure> {
        let request = RenderingRequest {
            event,
            order_id: order_id().to_string(),
            kind: kind.to_owned(),
            settings: given(settings),
        };
        self.plugin(transformer).from_canonical(&self.context, &request).await.outcome.unwrap()
    }

    /// What a connector makes of a message on the host's own way to a target.
    pub(crate) async fn deliver(&self, connector: &str, target: &str, delivery: &Delivery) -> Result<Receipt, Failure> {
        self.plugin(connector).deliver(&self.way(target), delivery).await.outcome.unwrap()
    }

    /// What a connector finds at a target.
    pub(crate) async fn find(
        &self,
        connector: &str,
        target: &str,
        query: &FindQuery,
    ) -> Result<Option<Receipt>, Failure> {
        self.plugin(connector).find(&self.way(target), query).await.outcome.unwrap()
    }

    /// What a connector says of a target.
    pub(crate) async fn check(
        &self,
        connector: &str,
        target: &str,
        settings: Settings<'_>,
    ) -> Result<CheckReport, Failure> {
        let request = CheckRequest { settings: given(settings) };
        self.plugin(connector).check(&self.way(target), &request).await.outcome.unwrap()
    }

    fn way(&self, target: &str) -> CallContext {
        let mut context = self.context.clone();
        context.egress = self.host.host.pipeline.outbound.to(target);
        context
    }

    /// What comes of a delivery to whoever listens at the address.
    pub(crate) async fn deliver_to(
        &self,
        connector: &str,
        to: SocketAddr,
        message: Message,
        natural_key: &str,
        settings: Settings<'_>,
    ) -> Result<Receipt, Failure> {
        let delivery = Delivery {
            message,
            idempotency_key: "always-the-same".to_owned(),
            natural_key: natural_key.to_owned(),
            attempt: 1,
            settings: given(settings),
        };
        self.plugin(connector).deliver(&self.towards(to), &delivery).await.outcome.unwrap()
    }

    /// What a connector finds there.
    pub(crate) async fn find_at(
        &self,
        connector: &str,
        at: SocketAddr,
        kind: &str,
        natural_key: &str,
        settings: Settings<'_>,
    ) -> Result<Option<Receipt>, Failure> {
        let (kind, natural_key) = (kind.to_owned(), natural_key.to_owned());
        let query = FindQuery { kind, natural_key, settings: given(settings) };
        self.plugin(connector).find(&self.towards(at), &query).await.outcome.unwrap()
    }

    /// What a connector's check reports.
    pub(crate) async fn check_at(&self, connector: &str, at: SocketAddr, settings: Settings<'_>) -> CheckReport {
        let request = CheckRequest { settings: given(settings) };
        self.plugin(connector).check(&self.towards(at), &request).await.outcome.unwrap().unwrap()
    }

    fn towards(&self, address: SocketAddr) -> CallContext {
        CallContext { egress: Arc::new(Towards(address)), ..self.context.clone() }
    }
}

/// The order that messages are about.
pub(crate) fn order_id() -> OrderId {
    OrderId::derive(&ChannelId::parse("edi").unwrap(), &sender(), "", "PO-1", None)
}

/// Lets everything through to one address, unsigned.
struct Towards(SocketAddr);

#[async_trait]
impl Egress for Towards {
    async fn authorize(&self, request: EgressRequest<'_>) -> Result<Permitted, EgressRefused> {
        let authority = self.0.to_string();
        let path = request.url.split_once(&authority).map_or("/", |(_, path)| path).to_owned();
        let passage = Box::new(Unsigned);
        Ok(Permitted { addresses: vec![self.0], path_and_query: path, authority, tls: None, tray: None, passage })
    }
}

struct Unsigned;

#[async_trait]
impl Passage for Unsigned {
    async fn sign(&self, _: ToSign<'_>) -> Result<Signature, EgressRefused> {
        Ok(Signature::default())
    }

    async fn renew(&self, _: u16) -> bool {
        false
    }

    fn ended(&self, _: Ended) {}
}

fn sender() -> SenderId {
    SenderId::authenticated("edi-gateway")
}

pub(crate) fn given(settings: Settings<'_>) -> Vec<Setting> {
    settings.iter().map(|(name, value)| Setting { name: (*name).into(), value: (*value).into() }).collect()
}

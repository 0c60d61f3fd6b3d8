//! The same component called as wasmtime's own documentation does it: generated
//! bindings, no limits, no conversion of nouns, no record. What remains is what
//! any host pays for a sandbox, so it is what the governed call is measured against.

use std::sync::Arc;

use portreeve_model::advice as model;
use portreeve_model::event as model_event;
use portreeve_model::id::PluginKind;
use portreeve_model::reference::{Field, FieldValue};
use portreeve_model::value as model_value;
use portreeve_sandbox::measure;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Store};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "portreeve:plugin/scorer",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

pub(crate) use bindings::portreeve::plugin::advice::{Assessment, ScoringRequest};
use bindings::portreeve::plugin::{events, lookup, values};
use bindings::{Scorer, ScorerPre};

/// What the store holds: enough to answer the look-up.
pub(crate) struct State {
    row: Arc<[lookup::Field]>,
}

impl lookup::Host for State {
    async fn get(
        &mut self,
        _table: String,
        _key: String,
    ) -> wasmtime::Result<Result<Option<Vec<lookup::Field>>, lookup::LookupError>> {
        Ok(Ok(Some(self.row.to_vec())))
    }
}

/// The component in an engine of its own, with the sandbox's settings.
pub(crate) struct Raw {
    engine: Engine,
    scorer: ScorerPre<State>,
    row: Arc<[lookup::Field]>,
}

impl Raw {
    /// Compiles the component.
    pub(crate) fn new(component: &[u8], calls_at_once: u32, row: &[Field]) -> wasmtime::Result<Self> {
        let engine = Engine::new(&measure::engine_config(PluginKind::Scorer, calls_at_once))?;
        let component = Component::new(&engine, component)?;
        let mut linker: Linker<State> = Linker::new(&engine);
        lookup::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        let instance: InstancePre<State> = linker.instantiate_pre(&component)?;
        Ok(Self { scorer: ScorerPre::new(instance)?, engine, row: row.iter().map(field).collect() })
    }

    /// A store in which the engine's fuel and epochs do not run out.
    pub(crate) fn store(&self) -> wasmtime::Result<Store<State>> {
        let mut store = Store::new(&self.engine, State { row: self.row.clone() });
        store.set_fuel(u64::MAX)?;
        store.set_epoch_deadline(u64::MAX / 2);
        Ok(store)
    }

    /// An instance to be called again and again.
    pub(crate) async fn instance(&self) -> wasmtime::Result<(Store<State>, Scorer)> {
        let mut store = self.store()?;
        let scorer = self.scorer.instantiate_async(&mut store).await?;
        Ok((store, scorer))
    }

    /// One call in a fresh instance.
    pub(crate) async fn fresh(&self, request: &[ScoringRequest]) -> wasmtime::Result<Assessment> {
        let (mut store, scorer) = self.instance().await?;
        call(&mut store, &scorer, request).await
    }
}

/// One call in a given instance.
pub(crate) async fn call(
    store: &mut Store<State>,
    scorer: &Scorer,
    request: &[ScoringRequest],
) -> wasmtime::Result<Assessment> {
    match scorer.call_score(store, request).await?.pop() {
        Some(Ok(assessment)) => Ok(assessment),
        _ => Err(wasmtime::Error::msg("the scorer gave no assessment")),
    }
}

// --- the payload, made once ---

/// The request in the bindings' types.
pub(crate) fn request(request: &model::ScoringRequest) -> ScoringRequest {
    let history = &request.history;
    ScoringRequest {
        order: order(&request.order),
        received_at: request.received_at.0,
        history: bindings::portreeve::plugin::advice::CustomerHistory {
            orders_1h: history.orders_1h,
            orders_24h: history.orders_24h,
            orders_30d: history.orders_30d,
            value_24h_minor: history.value_24h_minor,
            value_30d_minor: history.value_30d_minor,
            largest_30d_minor: history.largest_30d_minor,
            first_order_at: history.first_order_at.map(|at| at.0),
            ship_to_places_30d: history.ship_to_places_30d,
            ship_to_known: history.ship_to_known,
        },
        seed: request.seed,
        extensions: request.extensions.iter().map(extension).collect(),
    }
}

fn order(order: &model_event::Order) -> events::Order {
    events::Order {
        number: order.number.clone(),
        release: order.release.clone(),
        customer: values::Customer {
            id: order.customer.id.clone(),
            name: order.customer.name.clone(),
            email: order.customer.email.clone(),
            phone: order.customer.phone.clone(),
        },
        bill_to: order.bill_to.as_ref().map(address),
        ship_to: order.ship_to.as_ref().map(address),
        placed_at: order.placed_at.map(|at| at.0),
        requested_delivery: order.requested_delivery.map(date),
        cancel_after: order.cancel_after.map(date),
        currency: order.currency.code().to_owned(),
        lines: order.lines.iter().map(line).collect(),
        totals: events::OrderTotals {
            lines: order.totals.lines.map(money),
            shipping: order.totals.shipping.map(money),
            tax: order.totals.tax.map(money),
            discount: order.totals.discount.map(money),
            grand: order.totals.grand.map(money),
        },
        payment: order.payment.as_ref().map(|payment| events::Payment {
            method: payment.method.clone(),
            state: payment.state.clone(),
            authorised: payment.authorised.map(money),
            authorisation_expires_at: payment.authorisation_expires_at.map(|at| at.0),
            issuer_country: payment.issuer_country.clone(),
            address_check: payment.address_check.clone(),
            terms: payment.terms.clone(),
        }),
        sender_state: order.sender_state.clone(),
        notes: order.notes.clone(),
        extensions: order.extensions.iter().map(extension).collect(),
    }
}

fn line(line: &model_event::OrderLine) -> events::OrderLine {
    events::OrderLine {
        number: line.number.clone(),
        sku: line.sku.clone(),
        buyer_sku: line.buyer_sku.clone(),
        description: line.description.clone(),
        quantity: values::Quantity {
            value: line.quantity.value,
            scale: line.quantity.scale,
            unit: line.quantity.unit.clone(),
        },
        unit_price: values::UnitPrice {
            amount: line.unit_price.amount,
            scale: line.unit_price.scale,
            currency: line.unit_price.currency.code().to_owned(),
            per_quantity: line.unit_price.per_quantity,
        },
        extended: line.extended.map(money),
        requested_delivery: line.requested_delivery.map(date),
        extensions: line.extensions.iter().map(extension).collect(),
    }
}

fn address(address: &model_value::Address) -> values::Address {
    values::Address {
        id: address.id.clone(),
        name: address.name.clone(),
        lines: address.lines.clone(),
        city: address.city.clone(),
        region: address.region.clone(),
        postal_code: address.postal_code.clone(),
        country: address.country.clone(),
    }
}

fn extension(extension: &model_value::Extension) -> values::Extension {
    values::Extension { name: extension.name.clone(), value: extension.value.clone() }
}

fn money(money: model_value::Money) -> values::Money {
    values::Money { minor: money.minor, currency: money.currency.code().to_owned() }
}

fn date(date: model_value::Date) -> values::Date {
    values::Date { year: date.year(), month: date.month(), day: date.day() }
}

fn field(field: &Field) -> lookup::Field {
    let value = match &field.value {
        FieldValue::Text(text) => lookup::FieldValue::Text(text.clone()),
        FieldValue::Whole(whole) => lookup::FieldValue::Whole(*whole),
        FieldValue::Number(number) => {
            lookup::FieldValue::Number(values::Decimal { units: number.units, scale: number.scale })
        }
        FieldValue::Day(day) => lookup::FieldValue::Day(date(*day)),
        FieldValue::Flag(flag) => lookup::FieldValue::Flag(*flag),
    };
    lookup::Field { name: field.name.clone(), value }
}

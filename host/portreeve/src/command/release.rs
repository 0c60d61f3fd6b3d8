//! `order release`: a person ends holds of an order that is kept back, named by their numbers;
//! in a stopped host's folder, or of a running host over HTTP.

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portreeve_api::release::{ReleaseRequest, Released};
use portreeve_pipeline::review::{self, ReviewError};

use super::acting::Acting;
use super::plugin::{Of, understood};
use super::{BadUsage, Data, order};
use crate::client::Server;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct Release {
    /// The host's order id, or the sender's order number.
    order: String,
    /// A hold that is to end, by its number in `order show`; once for each.
    #[arg(long = "hold", value_name = "NUMBER", value_parser = hold_number)]
    holds: Vec<u64>,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    acting: Acting,
}

pub(super) async fn run(release: Release, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Release { order, holds, reason, of, acting } = release;
    if holds.is_empty() {
        return Err(BadUsage(ReviewError::NoHolds.to_string()).into());
    }
    review::check_reason(&reason).map_err(|error| BadUsage(error.to_string()))?;
    let request = ReleaseRequest { holds, reason };
    let released = match of.running.server()? {
        Some(server) => on_host(&server, &order, &request).await?,
        None => in_folder(&of.data, &acting, &order, &request).await?,
    };
    if json {
        return output.json(&released);
    }
    let ended: Vec<String> = released.closed.iter().map(u64::to_string).collect();
    let Released { number, state, why, .. } = released;
    output.line(&format!("order {number} is {state}: {why}; hold(s) {} ended", ended.join(", ")))
}

fn hold_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected the number of a hold, as `portreeve order show` lists it".to_owned())
}

async fn on_host(server: &Server, order: &str, request: &ReleaseRequest) -> anyhow::Result<Released> {
    // A sender's number may hold what an address means something by.
    let path = format!("/v1/orders/{}/release", utf8_percent_encode(order, NON_ALPHANUMERIC));
    let body = serde_json::to_vec(request).context("the request has no JSON")?;
    let headers = [("content-type", "application/json")];
    understood(&server.send(Method::POST, &path, &headers, Bytes::from(body)).await?)
}

async fn in_folder(data: &Data, acting: &Acting, order: &str, request: &ReleaseRequest) -> anyhow::Result<Released> {
    acting.somebody()?;
    let (locations, store) = data.open_to_write_or_ask()?;
    let order = order::find(store.as_ref(), order).await?;
    let place = acting.open_in(&locations, store).await?;
    let ReleaseRequest { holds, reason } = request;
    let release = review::Release { order: order.id, holds, who: &place.who, reason };
    let reviewed = place.host.pipeline.release_holds(release).await;
    place.finish(reviewed).await.map(Released::of)
}

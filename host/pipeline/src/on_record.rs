//! What the log says about a decision.
//!
//! Danger: whoever can write to the store can put another record of a decision
//! in it, sealed under a key of its own, and point the order's row to it. It
//! opens and can be derived again, but it is not what was decided. The log knows
//! which record is: the decide leaf names its commitment.
//!
//! The leaf is read by its hash; that it is under a signed head is what
//! `portreeve audit verify` says.

use portreeve_record::merkle::leaf_hash;
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::contract::OrderView;

use crate::Pipeline;
use crate::rederive::RederiveError;

impl Pipeline {
    /// What an order's row says otherwise than the log, in one sentence; none
    /// when they agree.
    pub(crate) async fn differs_from_log(&self, order: &OrderView) -> Result<Option<String>, RederiveError> {
        let index = order.leaf_index.ok_or(RederiveError::NotInLog(order.id))?;
        let entry = self.store.sequenced(index, 1).await?.pop();
        let Some((_, _, bytes)) = entry.filter(|(_, _, bytes)| leaf_hash(bytes) == order.leaf) else {
            return Ok(Some(format!("entry {index} of the log was changed; run `portreeve audit verify`")));
        };
        let LeafBody::Decide(decide) = Leaf::parse(&bytes)?.body else {
            return Ok(Some(format!("entry {index} of the log, which the order's row names, is no decision")));
        };
        if decide.order == Some(order.id) && decide.decision == Some(order.decision.commitment) {
            return Ok(None);
        }
        Ok(Some(format!(
            "the store has the decision's record as {}, and entry {index} of the log does not: the store was changed; restore it",
            order.decision.commitment
        )))
    }
}

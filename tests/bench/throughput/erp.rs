//! The ERP stand-in, as a process of its own.

use anyhow::bail;
use portreeve::standins::{Erp, Mischief};

use crate::role::{answer, questions, usage};

/// The ERP in a good mood: what it costs to meet a bad one is another question.
pub(crate) async fn run() -> anyhow::Result<()> {
    let erp = Erp::start(Mischief::default()).await?;
    answer(&erp.origin());
    let mut questions = questions();
    while let Some(question) = questions.next_line().await? {
        match question.as_str() {
            "count" => answer(&erp.sales_order_count().to_string()),
            "usage" => answer(&usage()?),
            other => bail!("the stand-in has no answer to `{other}`"),
        }
    }
    Ok(())
}

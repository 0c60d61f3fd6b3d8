//! Stand-ins: small servers in the shape of vendors' systems, for the demo, the
//! tests and the benchmark.
//!
//! A stand-in speaks real HTTP, or what else its original does, over a loopback socket, because
//! what has to be shown happens there: throttling, lost answers, a second effect. It is no mock of our
//! own code and imports nothing of it but nouns. Misbehaviour is chosen by content
//! and attempt, and by a seed where there is one, never by time, so that a run can be repeated.

pub mod erp;
pub mod partner;
pub mod payment;
pub mod shop;
pub mod stream;
pub mod subscriber;
pub mod tax;
pub mod wms;

pub(crate) mod amount;
mod mischief;
mod serving;

pub use erp::{CreditMemo, Erp, PostedInvoice, PostedLine, SalesOrder, SalesOrderLine};
pub use mischief::{Drawn, Mischief};
pub use payment::Payments;
pub use shop::Shop;
pub use stream::Stream;
pub use subscriber::Subscriber;
pub use tax::{TAX_COMPANY, TaxStatus, Taxes};
pub use wms::Wms;

//! Tests over more than one room, as one binary: it links once.
//!
//! Names are sentences. Nothing here sleeps, uses a fixed port or leaves the
//! loopback; what cannot be tested on a machine says so and fails.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

mod agreed;

mod drawn;

mod invariants;

mod tidy;

mod golden;

mod deliveries;

mod given_up;

mod replays;

mod corrected;

mod crowded;

mod retention;

mod units;

mod exceptions;

mod measures;

mod oversight;

mod notices;

mod polls;

mod posted;

mod subscribed;

mod pulled;

mod returned;

mod together;

mod faults;

mod killed;

mod demo_files;

mod hostile;

mod foreign;

mod manifests;

mod settings;

mod asked;

mod samples;

mod road;

mod cash;

mod authority;

mod masked;

mod at_the_plugin;

mod fixtures;

mod files;

mod expected;

mod budgets;

mod red_team;

mod held;

mod kept_back;

mod credit;

mod rechecked;

mod channels;

mod cloudevents;

mod adobe_out;

mod signed_shop;

mod x12_sets;

mod simulated;
mod stripe;
mod x12_out;

mod interchanges;

mod acknowledged;

mod due;

mod tax;

mod tax_effects;

mod business_central;

mod envelopes;

mod later;

mod levels;

mod posting;

mod payments;

mod changing;

mod substituted;

mod process;

mod ahead;

mod edges;
mod effects;

mod feed;

mod jetstream;

mod refunds;

mod reconciled;
mod reconciled_documents;
mod reconciled_orders;
mod reconciled_shop;

mod erp;

mod wms;

mod warehouse_sets;

mod front;

mod airgap;

mod packages;

mod browser;

mod windows;

mod owners;

mod waiting;

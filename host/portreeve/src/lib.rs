//! The binary's library: configuration, wiring, commands, the demo, and the
//! stand-ins for vendors' servers that demo, tests and benchmarks talk to.
//!
//! Everything that Portreeve does is in the other rooms; here it is put together
//! ([`host`]), described ([`config`]) and driven ([`command`]).

/// For the binary, and for the tests and benchmarks that run what it runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod command;

pub mod config;

pub mod declared;

pub mod host;

pub mod folder;

pub mod demo;

pub mod client;

pub mod clock;

pub mod files;

pub mod models;

pub mod output;

pub mod packages;

pub mod publisher;

pub mod reference;

pub mod source_tree;

mod windows;

pub mod standins;

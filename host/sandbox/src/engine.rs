//! The engines, their pools, and the clock that interrupts guests.
//!
//! Connectors talk to the network, so no two runs are alike: they are stopped by
//! CPU time, which a ticker raises as epochs. Scorers and transformers must give
//! the same answer on every machine, so they are stopped by fuel, with canonical
//! NaNs and deterministic SIMD; they tick as well, to let the runtime breathe and
//! the wall clock bind.
//!
//! There are two of each, alike but for how much of a slot's memory stays with it: one for
//! memories that begin small and grow, one for those that begin large.
//!
//! Every call gets a fresh instance out of a pool. A semaphore stands in front
//! of each kind of pool: waiting for a permit is bounded and billed to nobody, and a pool
//! that has a permit free has a slot free. A plugin may hold a share of a pool at
//! once (`calls_at_once`): one whose target hangs would otherwise take every slot from
//! all others. That share, and how often it is called, are the plugin's over all of its
//! versions (`share`, `rate`).

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use portreeve_model::id::{Digest, PluginKind, PluginName};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::{Limits, STACK_BYTES, to_u64, to_usize};
use crate::share::{Claim, Part, Share, Shares};

/// How often guests are interrupted. Finer, and interrupting costs more than it
/// saves; coarser, and a spinning guest keeps its thread from others for longer.
const TICK: Duration = Duration::from_millis(1);

/// Linear memory that a slot keeps mapped between calls, where it begins small. A page that
/// stays is set to zero by the host; one that goes is faulted in by the next guest. What weighs
/// against keeping more is a memory that grew: when its slot is closed again, the kernel walks
/// over all that was kept of it, and whoever grows a memory meanwhile waits.
const KEEP_RESIDENT_BYTES: usize = 2 * 1024 * 1024;

/// The same where a memory begins larger than that, as an interpreter's does, or where a plugin
/// fills what it grows: all that a plugin has by default. A guest that copies over pages which
/// it never wrote makes the kernel interrupt all cores for each of them, every call anew, unless
/// they stay; and next to a call that takes so long, closing its slot weighs little.
/// Both only where the kernel tells which pages were touched: elsewhere all of it would be set
/// to zero after each call.
const ROOMY_KEEP_RESIDENT_BYTES: usize = 16 * 1024 * 1024;

/// How much CPU a call takes that fills what it grows: the kernel needs that for some thousand
/// pages. Shorter ones close their slots so often that it is better not to keep anything.
///
/// Only connectors have their CPU counted. What else runs is out of fuel long before.
const FILLS_CPU_US_MIN: u64 = 10_000;

/// Whether a call is one that fills what it grows.
pub(crate) fn fills(grown_bytes: u64, cpu_us: u64) -> bool {
    grown_bytes > to_u64(KEEP_RESIDENT_BYTES) && cpu_us >= FILLS_CPU_US_MIN
}

/// Memory that may be grown in a slot that keeps it without being paid for: closing so little
/// again is felt by nobody.
const GROWN_FREE_BYTES: u64 = 3 * 1024 * 1024;

/// How much CPU a call is to take for each further MiB. Closing a MiB keeps others from their
/// memory for about a hundredth of that. The attack is a plugin that fills what it grows once,
/// and then grows as much and ends, as often as it is called.
const GROWN_MIB_US: u64 = 1_600;

/// What a call that grew so much in a slot that keeps it takes of its plugin's second (`rate`):
/// nothing where it took as long as it costs others.
pub(crate) fn grown_costs_us(grown_bytes: u64, cpu_us: u64) -> u64 {
    let paid_for = grown_bytes.saturating_sub(GROWN_FREE_BYTES);
    (paid_for.saturating_mul(GROWN_MIB_US) >> 20).saturating_sub(cpu_us)
}

/// The same of a table and of a stack, of which guests touch little, and of a memory where
/// the kernel does not tell.
const SMALL_KEEP_RESIDENT_BYTES: usize = 64 * 1024;

/// Memories of one component. Toolchains make one; a second is an adapter's.
const MEMORIES_PER_COMPONENT: u32 = 2;

/// Tables of one component: one per core instance that has indirect calls.
const TABLES_PER_COMPONENT: u32 = 8;

/// Goes into the engine hash: raise it when a change here or in the host
/// functions could change what a recorded call returns or what its fuel is.
const SETTINGS: &str = "portreeve sandbox settings 3";

/// Sizes of a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct SandboxOptions {
    /// Calls that run at once, per engine; of one plugin, half as many at most
    /// ([`Limits::calls_at_once`]). Each reserves address space for the hard maximum of
    /// memory, and uses what its guest touches.
    pub calls_at_once_max: u32,
    /// How long a call waits for a free sandbox, in milliseconds.
    pub busy_wait_ms_max: u64,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self { calls_at_once_max: 64, busy_wait_ms_max: 2_000 }
    }
}

impl SandboxOptions {
    /// The most that a plugin can be granted in such a sandbox: of calls at once half of
    /// the sandboxes, so that one plugin leaves room for others.
    #[must_use]
    pub fn most(&self) -> Limits {
        let half = u64::from(self.calls_at_once_max / 2).max(1);
        Limits { calls_at_once: half.min(Limits::HARD_MAX.calls_at_once), ..Limits::HARD_MAX }
    }
}

/// A sandbox that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine cannot run it; often address space, or a limit on it.
    #[error(
        "the sandbox for {kind}s cannot be made: {message}; lower `calls_at_once_max` or raise the limit on address space"
    )]
    Engine {
        /// For which kinds.
        kind: &'static str,
        /// In wasmtime's words.
        message: String,
    },
    /// No thread for the clock.
    #[error("the sandbox's clock cannot start: {0}")]
    Ticker(#[source] std::io::Error),
}

/// Both engines, and the clock over them. Plugins hold it, so the clock runs as
/// long as anything can be called.
pub(crate) struct Engines {
    clocked: Pool,
    fueled: Pool,
    ticker: Ticker,
    shares: Shares,
    most: Limits,
}

/// Both engines of a kind, and the permits for their instances: each has a slot for every
/// permit.
pub(crate) struct Pool {
    /// For memories that begin small.
    pub(crate) engine: Engine,
    /// For those that begin large, and plugins that fill what they grow. Code that was compiled
    /// for one loads into both.
    pub(crate) roomy: Engine,
    pub(crate) hash: Digest,
    /// Whether fuel is what stops guests.
    pub(crate) fueled: bool,
    permits: Semaphore,
    busy_wait: Duration,
}

/// The right to one call: a slot of the pool, within the plugin's share.
pub(crate) struct Permit<'a> {
    _of_pool: SemaphorePermit<'a>,
    _of_plugin: Part<'a>,
}

impl Engines {
    pub(crate) fn new(options: &SandboxOptions) -> Result<Arc<Self>, SandboxError> {
        let clocked = Pool::new(false, options)?;
        let fueled = Pool::new(true, options)?;
        let engines = [&clocked, &fueled].into_iter().flat_map(|pool| [pool.engine.clone(), pool.roomy.clone()]);
        let ticker = Ticker::start(engines.collect())?;
        Ok(Arc::new(Self { clocked, fueled, ticker, shares: Shares::default(), most: options.most() }))
    }

    /// What a version of a plugin that is loaded with these limits may claim.
    pub(crate) fn claim(&self, name: &PluginName, limits: &Limits) -> Claim {
        let calls_at_once = limits.calls_at_once.min(self.most.calls_at_once);
        self.shares.claim(name, calls_at_once, limits.calls_per_second)
    }

    pub(crate) fn pool(&self, kind: PluginKind) -> &Pool {
        match kind {
            PluginKind::Connector => &self.clocked,
            PluginKind::Transformer | PluginKind::Scorer => &self.fueled,
        }
    }

    /// Keeps the clock ticking until it is dropped.
    pub(crate) fn tick(&self) -> Ticking<'_> {
        self.ticker.hold()
    }
}

impl Pool {
    fn new(fueled: bool, options: &SandboxOptions) -> Result<Self, SandboxError> {
        let engine = |kept| {
            Engine::new(&config(fueled, options.calls_at_once_max, kept)).map_err(|error| SandboxError::Engine {
                kind: if fueled { "scorer and transformer" } else { "connector" },
                message: error.to_string(),
            })
        };
        let (roomy, engine) = (engine(ROOMY_KEEP_RESIDENT_BYTES)?, engine(KEEP_RESIDENT_BYTES)?);
        let calls_at_once = usize::try_from(options.calls_at_once_max).unwrap_or(1);
        Ok(Self {
            hash: engine_hash(&engine),
            engine,
            roomy,
            fueled,
            permits: Semaphore::new(calls_at_once),
            busy_wait: Duration::from_millis(options.busy_wait_ms_max),
        })
    }

    /// The engine for a component whose largest memory begins with so many bytes.
    pub(crate) fn engine_for(&self, memory_bytes: u64) -> &Engine {
        if memory_bytes > to_u64(KEEP_RESIDENT_BYTES) { &self.roomy } else { &self.engine }
    }

    /// Waits for a free instance within the plugin's share; the error is the
    /// milliseconds that it waited in vain.
    pub(crate) async fn permit<'a>(&'a self, share: &'a Share) -> Result<Permit<'a>, u64> {
        // Mostly one is free, and needs no timer.
        if let Ok(of_plugin) = share.try_part()
            && let Ok(of_pool) = self.permits.try_acquire()
        {
            return Ok(Permit { _of_pool: of_pool, _of_plugin: of_plugin });
        }
        // The share comes first: who waits for it must not hold what others wait for.
        let wait = async {
            let of_plugin = share.part().await?;
            let of_pool = self.permits.acquire().await?;
            Ok::<_, tokio::sync::AcquireError>(Permit { _of_pool: of_pool, _of_plugin: of_plugin })
        };
        match tokio::time::timeout(self.busy_wait, wait).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphores are never closed; if one were, nothing would run here again.
            Ok(Err(_)) | Err(_) => Err(u64::try_from(self.busy_wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// The settings of the engine that most plugins run in.
pub(crate) fn usual_config(fueled: bool, calls_at_once: u32) -> Config {
    config(fueled, calls_at_once, KEEP_RESIDENT_BYTES)
}

fn config(fueled: bool, calls_at_once: u32, kept: usize) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(calls_at_once, kept)))
        .max_wasm_stack(to_usize(STACK_BYTES))
        .epoch_interruption(true)
        // Asynchronous host functions work without it, and synchronous component
        // calls are many times faster.
        .concurrency_support(false)
        // What we do not need is not there to be attacked; threads and GC are not
        // even compiled into this wasmtime.
        .wasm_memory64(false)
        // Frames of a trap name the guest's functions and cost time; we report neither. What
        // would name them is a seventh of the code that an idle plugin keeps in memory.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false);
    if fueled {
        config.consume_fuel(true).cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    }
    config
}

fn pooling(calls_at_once: u32, kept: usize) -> PoolingAllocationConfig {
    let most = Limits::HARD_MAX;
    let instances = u32::try_from(most.instances).unwrap_or(u32::MAX);
    let tells_touched = PoolingAllocationConfig::is_pagemap_scan_available();
    let memory_kept = if tells_touched { kept } else { SMALL_KEEP_RESIDENT_BYTES };
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        // Where the kernel has it (Linux 6.7), a slot is reset by looking at the
        // pages that were touched: half the time of a call.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(memory_kept)
        .table_keep_resident(SMALL_KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(SMALL_KEEP_RESIDENT_BYTES)
        .max_memory_size(to_usize(most.memory_bytes))
        .table_elements(to_usize(most.table_elements))
        .max_core_instances_per_component(instances)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .total_component_instances(calls_at_once)
        .total_core_instances(calls_at_once.saturating_mul(instances))
        .total_memories(calls_at_once.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(calls_at_once.saturating_mul(TABLES_PER_COMPONENT))
        .total_stacks(calls_at_once);
    pooling
}

/// What compiled code depends on: wasmtime's version and settings, the machine's
/// features, and our own settings.
fn engine_hash(engine: &Engine) -> Digest {
    let mut hasher = ShaHasher(Sha256::new());
    SETTINGS.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest::from_bytes(hasher.0.finalize().into())
}

/// SHA-256 as the standard library's hasher: its own gives 64 bits, and other
/// ones in the next release.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(to_u64(bytes.len()).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Raises the epochs, from a thread of the operating system: as a task of the
/// runtime it would wait behind the guest that it is to interrupt. It sleeps while
/// nothing runs.
struct Ticker {
    shared: Arc<TickerShared>,
    thread: Thread,
}

#[derive(Default)]
struct TickerShared {
    running: AtomicUsize,
    ended: AtomicBool,
}

impl Ticker {
    fn start(engines: Vec<Engine>) -> Result<Self, SandboxError> {
        let shared = Arc::new(TickerShared::default());
        let seen = shared.clone();
        let handle = thread::Builder::new()
            .name("portreeve-ticker".to_owned())
            .spawn(move || {
                while !seen.ended.load(Ordering::SeqCst) {
                    if seen.running.load(Ordering::SeqCst) == 0 {
                        thread::park();
                    } else {
                        thread::sleep(TICK);
                        engines.iter().for_each(Engine::increment_epoch);
                    }
                }
            })
            .map_err(SandboxError::Ticker)?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    fn hold(&self) -> Ticking<'_> {
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.unpark();
        }
        Ticking(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// The clock ticks while one of these exists.
pub(crate) struct Ticking<'a>(&'a TickerShared);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

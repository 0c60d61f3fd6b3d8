//! The heap of a plugin.
//!
//! Every call is a fresh instance and begins with an empty heap. Rust's usual allocator
//! for wasm asks for memory page by page, and each time the host has to change the
//! protection of pages: a system call, and one more when the next instance takes the
//! place. Here the first [`ARENA_BYTES`] are part of the memory that an instance begins
//! with, and cost nothing until they are touched; only what needs more asks for more.

use core::alloc::Layout;
use core::mem::MaybeUninit;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// What most calls need: an order with its history, an interchange of some thirty orders.
const ARENA_BYTES: usize = 512 * 1024;

/// Memory grows by at least so much.
const GROWTH_BYTES: usize = 256 * 1024;

const PAGE_BYTES: usize = 64 * 1024;

/// What an allocation may need beside its bytes: where a heap begins and ends.
const OVERHEAD_BYTES: usize = 256;

static mut ARENA: [MaybeUninit<u8>; ARENA_BYTES] = [MaybeUninit::uninit(); ARENA_BYTES];

#[global_allocator]
static HEAP: TalcSyncCell<ArenaThenGrow, WasmBinning> = TalcSyncCell::new_wasm(ArenaThenGrow { arena_is_taken: false });

/// Where the allocator gets its memory.
#[derive(Debug)]
struct ArenaThenGrow {
    arena_is_taken: bool,
}

// SAFETY: it allocates nothing, and hands out memory that nobody else has: the arena
// once, then pages that did not exist before.
unsafe impl Source for ArenaThenGrow {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if !talc.source.arena_is_taken {
            talc.source.arena_is_taken = true;
            let arena = (&raw mut ARENA).cast::<u8>();
            // SAFETY: no code but this names the arena, and it gets here once.
            return unsafe { talc.claim(arena, ARENA_BYTES) }.map(drop).ok_or(());
        }
        let needed = layout.size().saturating_add(layout.align()).saturating_add(OVERHEAD_BYTES);
        let pages = needed.max(GROWTH_BYTES).div_ceil(PAGE_BYTES);
        let end = core::arch::wasm32::memory_grow::<0>(pages);
        if end == usize::MAX {
            return Err(());
        }
        let base = core::ptr::without_provenance_mut(end.saturating_mul(PAGE_BYTES));
        // SAFETY: these pages are new.
        unsafe { talc.claim(base, pages.saturating_mul(PAGE_BYTES)) }.map(drop).ok_or(())
    }
}

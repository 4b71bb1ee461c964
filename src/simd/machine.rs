//! What a plan needs to know of the machine.

use super::Level;

/// The machine that a plan is made for: a plain value, so that plans can be made and compared for any machine.
///
/// ```
/// use gemmule::{Level, Machine};
/// let here = Machine::detect();
/// assert!(here.level.is_available());
/// let other = Machine { level: Level::Avx2, l2_bytes: 512 << 10, ..here };
/// # let _ = other;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// The best level.
    pub level: Level,
    /// Bytes of a core's first-level data cache.
    pub l1_bytes: usize,
    /// Bytes of a core's second-level cache.
    pub l2_bytes: usize,
    /// Bytes of the last level, which the cores share.
    pub l3_bytes: usize,
    /// Cycles of a core for each line of 64 bytes that it gets from the last level, one after the other: 4 on processors of AMD, where
    /// few cores share one (Zen 5: 110 GB/s for a core), and 7 elsewhere (9 on a Granite Rapids, whose cores get 28 GB/s).
    pub l3_line_cycles: usize,
}

impl Machine {
    /// This machine. What can't be read of its caches is assumed: modest ones.
    pub fn detect() -> Machine {
        let Caches { bytes: [l1_bytes, l2_bytes, l3_bytes], l3_line_cycles } = caches();
        Machine { level: Level::best(), l1_bytes, l2_bytes, l3_bytes, l3_line_cycles }
    }
}

/// The caches of a core, by level.
#[derive(Clone, Copy)]
struct Caches {
    bytes: [usize; 3],
    l3_line_cycles: usize,
}

const ASSUMED: Caches = Caches { bytes: [32 << 10, 512 << 10, 8 << 20], l3_line_cycles: 7 };

#[cfg(all(feature = "std", target_arch = "x86_64"))]
fn caches() -> Caches {
    static CACHES: std::sync::OnceLock<Caches> = std::sync::OnceLock::new();
    *CACHES.get_or_init(x86::caches)
}

#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
fn caches() -> Caches {
    ASSUMED
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86 {
    #![allow(unsafe_code, unused_unsafe)] // `__cpuid` is safe from Rust 1.94 on
    use super::{ASSUMED, Caches};
    use core::arch::x86_64::{__cpuid_count, CpuidResult};

    fn cpuid(leaf: u32, index: u32) -> CpuidResult {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { __cpuid_count(leaf, index) }
    }

    /// Data and unified caches by level, from the deterministic cache parameters: leaf 4 (Intel SDM, vol. 2A, CPUID), or
    /// leaf 0x8000001D with the same fields (AMD APM, vol. 3, appendix E).
    pub(super) fn caches() -> Caches {
        let mut caches = ASSUMED;
        let vendor = cpuid(0, 0);
        if [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD" {
            caches.l3_line_cycles = 4;
        }
        for leaf in [4, 0x8000_001d] {
            if cpuid(leaf & 0x8000_0000, 0).eax < leaf {
                continue;
            }
            for index in 0..8 {
                let r = cpuid(leaf, index);
                let (kind, level) = (r.eax & 31, (r.eax >> 5 & 7) as usize);
                let line = ((r.ebx >> 22) as usize + 1)
                    * ((r.ebx >> 12 & 0x3ff) as usize + 1)
                    * ((r.ebx & 0xfff) as usize + 1);
                if kind == 0 {
                    break;
                }
                if kind != 2 && (1..=3).contains(&level) {
                    caches.bytes[level - 1] = line * (r.ecx as usize + 1);
                }
            }
        }
        caches
    }
}

//! What a plan needs to know of the machine.

use super::Level;

/// The machine that a plan is made for: a plain value, so that plans can be made and compared for any machine.
///
/// ```
/// use gemmule::{Level, Machine};
/// let here = Machine::detect();
/// assert!(here.level.is_available());
/// let other = Machine { level: Level::Avx2, l1_bytes: 32 << 10, l2_bytes: 512 << 10, l3_bytes: 16 << 20 };
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
}

impl Machine {
    /// This machine. Where the sizes of its caches can't be read, modest ones are assumed.
    pub fn detect() -> Machine {
        let [l1_bytes, l2_bytes, l3_bytes] = cache_bytes();
        Machine { level: Level::best(), l1_bytes, l2_bytes, l3_bytes }
    }
}

const ASSUMED: [usize; 3] = [32 << 10, 512 << 10, 8 << 20];

#[cfg(all(feature = "std", target_arch = "x86_64"))]
fn cache_bytes() -> [usize; 3] {
    static BYTES: std::sync::OnceLock<[usize; 3]> = std::sync::OnceLock::new();
    *BYTES.get_or_init(x86::cache_bytes)
}

#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
fn cache_bytes() -> [usize; 3] {
    ASSUMED
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86 {
    #![allow(unsafe_code, unused_unsafe)] // `__cpuid` is safe from Rust 1.94 on
    use core::arch::x86_64::{__cpuid_count, CpuidResult};

    fn cpuid(leaf: u32, index: u32) -> CpuidResult {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { __cpuid_count(leaf, index) }
    }

    /// Data and unified caches by level, from the deterministic cache parameters: leaf 4 (Intel SDM, vol. 2A, CPUID), or
    /// leaf 0x8000001D with the same fields (AMD APM, vol. 3, appendix E).
    pub(super) fn cache_bytes() -> [usize; 3] {
        let mut bytes = super::ASSUMED;
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
                    bytes[level - 1] = line * (r.ecx as usize + 1);
                }
            }
        }
        bytes
    }
}

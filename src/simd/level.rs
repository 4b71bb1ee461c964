//! The levels by name: a value that users see, plans hold and tests force.

use core::fmt;
use core::str::FromStr;

/// An instruction set level.
///
/// The best one of the machine is found once, at run time; any available one can be forced.
///
/// ```
/// use gemmule::Level;
/// assert!(Level::Scalar.is_available());
/// assert_eq!("scalar".parse(), Ok(Level::Scalar));
/// assert!(Level::available().any(|level| level == Level::best()));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// One element at a time: the fallback where the feature `simd` is off.
    Scalar,
    /// The vectors of the target that the crate is compiled for: SSE2, NEON, wasm's, by the crate `wide`.
    Portable,
    /// AVX2 and FMA, 256 bits.
    Avx2,
    /// AVX-512F, 512 bits.
    Avx512,
    /// Sixteen lanes of plain code and the register tile of [`Level::Avx512`], for tests.
    #[cfg(all(feature = "testing", feature = "simd", debug_assertions))]
    Emulated,
}

const ALL: &[(Level, &str)] = &[
    (Level::Scalar, "scalar"),
    (Level::Portable, "portable"),
    (Level::Avx2, "avx2"),
    (Level::Avx512, "avx512"),
    #[cfg(all(feature = "testing", feature = "simd", debug_assertions))]
    (Level::Emulated, "emulated"),
];

impl Level {
    /// Whether this machine has the level and this build contains it.
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar => true,
            Level::Portable => cfg!(feature = "simd"),
            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            Level::Avx2 => super::avx2::Avx2::detect().is_some(),
            #[cfg(all(feature = "simd", target_arch = "x86_64"))]
            Level::Avx512 => super::avx512::Avx512::detect().is_some(),
            #[cfg(not(all(feature = "simd", target_arch = "x86_64")))]
            Level::Avx2 | Level::Avx512 => false,
            #[cfg(all(feature = "testing", feature = "simd", debug_assertions))]
            Level::Emulated => true,
        }
    }

    /// All available levels, the slowest first; the emulated one, where there is one, comes last.
    pub fn available() -> impl Iterator<Item = Level> {
        ALL.iter().map(|&(level, _)| level).filter(|level| level.is_available())
    }

    /// The best level of this machine.
    pub fn best() -> Level {
        [Level::Avx512, Level::Avx2, Level::Portable]
            .into_iter()
            .find(|level| level.is_available())
            .unwrap_or(Level::Scalar)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(ALL.iter().find(|(level, _)| level == self).map_or("", |(_, name)| name))
    }
}

/// A name that is no level's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLevelError;

impl fmt::Display for ParseLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("level: expected one of")?;
        ALL.iter().try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

impl core::error::Error for ParseLevelError {}

impl FromStr for Level {
    type Err = ParseLevelError;
    fn from_str(name: &str) -> Result<Self, ParseLevelError> {
        ALL.iter().find(|(_, n)| *n == name).map(|&(level, _)| level).ok_or(ParseLevelError)
    }
}

#[cfg(feature = "testing")]
mod counters {
    use super::Level;
    use core::sync::atomic::{AtomicUsize, Ordering};

    static COUNTS: [AtomicUsize; 5] = [const { AtomicUsize::new(0) }; 5];

    pub(in crate::simd) fn count(level: Level) {
        COUNTS[level as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many operations were dispatched to a level so far, in the whole process.
    pub fn dispatched(level: Level) -> usize {
        COUNTS[level as usize].load(Ordering::Relaxed)
    }
}

#[cfg(feature = "testing")]
pub(super) use counters::count;
#[cfg(feature = "testing")]
pub use counters::dispatched;

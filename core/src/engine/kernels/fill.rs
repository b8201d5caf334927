//! The copy of small images as pairs of i16, eight at a time: where each value comes from is found once, when
//! the plan is made, and a byte shuffle then brings it there. On the maps of small networks (8 × 8 and below)
//! rows are too short for loops over rows.

use super::lanes::Lanes;

/// Bytes that a shuffle chooses from.
const REACH: usize = 16;
/// A place from which nothing comes.
const NOWHERE: u8 = 0xff;

/// Eight values of the copy.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where the bytes to choose from begin, in the source.
    from: usize,
    places: [u8; 8],
    /// The same once more, for pieces whose sources lie too far apart.
    more: Option<(usize, [u8; 8])>,
    /// What is taken off: the zero point, and nothing from padding.
    zeros: [i16; 8],
}

/// How one plane of the copy is filled.
#[derive(Debug, Clone)]
pub struct Fill {
    pieces: Vec<Piece>,
    /// Bytes of the source that are looked at.
    source: usize,
}

impl Fill {
    /// For a plane whose value `i` is byte `sources[i]` of a source of `source` bytes, less `zero`, or 0 where it
    /// is `None`. `None` where values that stand together come from places too far apart.
    pub fn new(sources: &[Option<usize>], source: usize, zero: i16) -> Option<Self> {
        let last = source.saturating_sub(REACH);
        let piece = |chunk: &[Option<usize>]| {
            let begin = |left: &dyn Fn(usize) -> bool| {
                chunk.iter().flatten().copied().filter(|s| left(*s)).min().map(|s| s.min(last))
            };
            let choose = |from: usize| -> [u8; 8] {
                std::array::from_fn(|i| match chunk.get(i) {
                    Some(Some(s)) if (from..from + REACH).contains(s) => (s - from) as u8,
                    _ => NOWHERE,
                })
            };
            let from = begin(&|_| true).unwrap_or(0);
            let rest = begin(&|s| s >= from + REACH);
            let places = choose(from);
            let more = rest.map(|rest| {
                let mut more = choose(rest);
                // Windows may overlap; a value is taken once.
                more.iter_mut().zip(places).filter(|(_, p)| *p != NOWHERE).for_each(|(m, _)| *m = NOWHERE);
                (rest, more)
            });
            let reached = |i: usize| places[i] != NOWHERE || more.is_some_and(|(_, m)| m[i] != NOWHERE);
            let zeros = std::array::from_fn(|i| if matches!(chunk.get(i), Some(Some(_))) { zero } else { 0 });
            let all = (0..chunk.len()).all(|i| chunk[i].is_none() || reached(i));
            all.then_some(Piece { from, places, more, zeros })
        };
        let pieces = sources.chunks(8).map(piece).collect::<Option<_>>()?;
        Some(Self { pieces, source })
    }

    /// Values that [`Self::run`] writes: whole vectors.
    pub fn values(&self) -> usize {
        8 * self.pieces.len()
    }

    /// Fills a plane of the copy, which has [`Self::values`] values, from the beginning of `source`.
    #[inline(always)]
    pub fn run<L: Lanes>(&self, source: &[i8], copy: &mut [i16]) {
        let mut short = [0; REACH];
        let source = if source.len() < REACH {
            short[..source.len()].copy_from_slice(source);
            &short[..]
        } else {
            source
        };
        assert!(source.len() >= self.source.max(REACH) && copy.len() >= self.values());
        let (from, to) = (source.as_ptr(), copy.as_mut_ptr());
        for (i, piece) in self.pieces.iter().enumerate() {
            // SAFETY: every window begins at most REACH before the end of `source`, or at 0 of at least REACH
            // bytes; piece i is within the copy. Both lengths were just asserted.
            unsafe {
                let mut eight = L::h_choose(from.add(piece.from), &piece.places);
                if let Some((at, places)) = &piece.more {
                    eight = L::h_add(eight, L::h_choose(from.add(*at), places));
                }
                L::h_store(to.add(8 * i), L::h_sub(eight, L::h_load(piece.zeros.as_ptr())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::{Scalar, Simd};
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn brings_every_byte_to_its_place() {
        let mut rng = Rng::new(7);
        let mut refused = 0;
        for _ in 0..300 {
            let source = 1 + rng.below(70);
            let bytes: Vec<i8> = (0..source).map(|_| rng.next_u64() as i8).collect();
            let around = rng.below(source);
            let sources: Vec<Option<usize>> = (0..1 + rng.below(40))
                .map(|_| (rng.below(4) > 0).then(|| (around + rng.below(30)) % source))
                .collect();
            let zero = rng.below(256) as i16 - 128;
            let Some(fill) = Fill::new(&sources, source, zero) else {
                refused += 1;
                continue;
            };
            let mut want: Vec<i16> =
                sources.iter().map(|s| s.map_or(0, |s| i16::from(bytes[s]) - zero)).collect();
            want.resize(fill.values(), 0);
            let (mut a, mut b) = (vec![7; fill.values()], vec![9; fill.values()]);
            fill.run::<Simd>(&bytes, &mut a);
            fill.run::<Scalar>(&bytes, &mut b);
            assert_eq!((&a, &b), (&want, &want), "{sources:?} of {source}");
        }
        assert!(refused < 200, "{refused} of 300 refused");
    }
}

//! The static memory planner: one arena for all activations, every tensor's place in it known
//! before anything runs.
//!
//! Greedy by size with best fit, as in TensorFlow Lite: Pisarchyk and Lee, "Efficient Memory
//! Management for Deep Neural Net Inference", 2020 (arXiv:2001.03288).

use crate::order::Order;
/// Places are multiples of so many bytes.
pub const ALIGN: usize = 16;

/// A tensor that needs a place while some steps run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Its size.
    pub bytes: usize,
    /// The step that writes it first.
    pub first: usize,
    /// The last step that reads it; at least `first`.
    pub last: usize,
}

impl Request {
    /// Whether both are alive at some step.
    pub fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Where every request lies, and how large the arena is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Byte offsets, in the order of the requests.
    pub offsets: Vec<usize>,
    /// Bytes in the arena.
    pub peak_bytes: usize,
}

/// Rounds up to [`ALIGN`].
pub fn aligned(bytes: usize) -> usize {
    bytes.div_ceil(ALIGN) * ALIGN
}

/// Places the requests: the largest first, each into the tightest gap between those placed
/// already that are alive at the same time.
pub fn layout(requests: &[Request]) -> Layout {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.order_by_key(|i| (std::cmp::Reverse(requests[*i].bytes), requests[*i].first, *i));
    let mut offsets = vec![0; requests.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(requests.len());
    let mut peak_bytes = 0;
    for i in order {
        let need = aligned(requests[i].bytes);
        let mut busy: Vec<(usize, usize)> = placed
            .iter()
            .filter(|j| requests[**j].meets(&requests[i]))
            .map(|j| (offsets[*j], offsets[*j] + aligned(requests[*j].bytes)))
            .collect();
        busy.order();
        let mut best: Option<(usize, usize)> = None;
        let mut end = 0;
        for (from, to) in busy {
            if from >= end + need && best.is_none_or(|(gap, _)| from - end < gap) {
                best = Some((from - end, end));
            }
            end = end.max(to);
        }
        offsets[i] = best.map_or(end, |(_, at)| at);
        peak_bytes = peak_bytes.max(offsets[i] + need);
        placed.push(i);
    }
    Layout { offsets, peak_bytes }
}

/// The largest sum of bytes alive at one step: no layout can be smaller.
pub fn lower_bound(requests: &[Request]) -> usize {
    let alive = |step: usize| requests.iter().filter(move |r| r.first <= step && step <= r.last);
    requests.iter().map(|r| alive(r.first).map(|r| aligned(r.bytes)).sum()).max().unwrap_or(0)
}

/// A type whose every bit pattern is a value, so that the arena's bytes may be read as it.
///
/// # Safety
/// No padding, no invalid bit patterns, alignment of at most [`ALIGN`].
pub unsafe trait Element: Copy + 'static {}
unsafe impl Element for f32 {}
unsafe impl Element for i8 {}
unsafe impl Element for i16 {}

/// The memory itself, aligned for vectors.
#[derive(Debug)]
pub struct Arena {
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
struct Block([u8; ALIGN]);

impl Arena {
    /// An arena of zeros.
    pub fn new(bytes: usize) -> Self {
        Self { blocks: vec![Block([0; ALIGN]); bytes.div_ceil(ALIGN)] }
    }

    /// Its base, from which [`View`]s are taken.
    pub fn base(&mut self) -> *mut u8 {
        self.blocks.as_mut_ptr().cast()
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.blocks.len() * ALIGN
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

/// A tensor's place in the arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Byte offset, a multiple of [`ALIGN`].
    pub offset: usize,
    /// Bytes.
    pub bytes: usize,
}

impl View {
    /// The values, to read.
    ///
    /// # Safety
    /// `base` is an arena that holds this view, and nothing writes there while the slice lives.
    pub unsafe fn read<'a, T: Element>(self, base: *mut u8) -> &'a [T] {
        unsafe { std::slice::from_raw_parts(base.add(self.offset).cast(), self.bytes / size_of::<T>()) }
    }

    /// The values, to write.
    ///
    /// # Safety
    /// `base` is an arena that holds this view, and nothing else reads or writes there while the
    /// slice lives.
    pub unsafe fn write<'a, T: Element>(self, base: *mut u8) -> &'a mut [T] {
        unsafe { std::slice::from_raw_parts_mut(base.add(self.offset).cast(), self.bytes / size_of::<T>()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn sound(requests: &[Request], layout: &Layout) {
        for (i, a) in requests.iter().enumerate() {
            assert!(layout.offsets[i].is_multiple_of(ALIGN));
            assert!(layout.offsets[i] + a.bytes <= layout.peak_bytes);
            for (j, b) in requests.iter().enumerate().skip(i + 1).filter(|(_, b)| a.meets(b)) {
                let (x, y) = (layout.offsets[i], layout.offsets[j]);
                assert!(x + a.bytes <= y || y + b.bytes <= x, "{i} and {j} overlap: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn live_tensors_never_overlap_and_the_peak_is_between_its_bounds() {
        let mut rng = Rng::new(11);
        for _ in 0..300 {
            let steps = 1 + rng.below(30);
            let requests: Vec<Request> = (0..rng.below(40))
                .map(|_| {
                    let first = rng.below(steps);
                    let last = first + rng.below(steps - first);
                    Request { bytes: rng.below(5000), first, last }
                })
                .collect();
            let layout = layout(&requests);
            sound(&requests, &layout);
            assert!(layout.peak_bytes >= lower_bound(&requests));
            assert!(layout.peak_bytes <= requests.iter().map(|r| aligned(r.bytes)).sum());
        }
    }

    #[test]
    fn a_chain_needs_its_two_largest_neighbours_only() {
        let sizes = [64, 1024, 512, 256, 128];
        let requests: Vec<Request> =
            sizes.iter().enumerate().map(|(i, b)| Request { bytes: *b, first: i, last: i + 1 }).collect();
        assert_eq!(layout(&requests).peak_bytes, 1024 + 512);
        assert_eq!(lower_bound(&requests), 1024 + 512);
    }
}

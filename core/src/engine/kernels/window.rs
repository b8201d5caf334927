//! What convolutions share: a padded copy of one image in which every window's taps lie at fixed
//! distances, whatever the stride, so that neighbouring outputs read neighbouring inputs.
//!
//! A stride of s is undone by keeping s × s phases of the image apart: phase (p, q) holds the
//! pixels whose padded row is p and column q modulo the strides. Output (y, x) then reads tap
//! (ky, kx) at `offset(ky, kx) + y · cols + x`.

use super::lanes::Lanes;
use crate::ops::conv::Geometry;

/// The layout of the padded copy.
#[derive(Debug, Clone)]
pub struct Window {
    geometry: Geometry,
    planes: usize,
    height: usize,
    width: usize,
    phases: Vec<[usize; 2]>,
    rows: usize,
    cols: usize,
    /// Whether the copy of a plane is the plane: a 1 × 1 kernel without stride or padding.
    plain: bool,
}

/// Up to four neighbouring outputs.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Whether this group and the next one are eight neighbouring outputs.
    pub eight: bool,
    /// Where their first tap lies in a plane of the copy.
    pub base: usize,
    /// Where they go in a plane of the output.
    pub out: usize,
    /// How many of the four are real.
    pub len: usize,
}

/// How inputs are paired for kernels that multiply two i16 at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Channel 2i with channel 2i + 1.
    Channels,
    /// A tap with the one below it.
    Rows,
}

impl Window {
    /// For `planes` planes of `height` × `width`.
    pub fn new(geometry: Geometry, planes: usize, height: usize, width: usize) -> Self {
        let g = geometry;
        let mut phases: Vec<[usize; 2]> = Vec::new();
        for ky in 0..g.kernel[0] {
            for kx in 0..g.kernel[1] {
                let phase = [ky * g.dilations[0] % g.strides[0], kx * g.dilations[1] % g.strides[1]];
                if !phases.contains(&phase) {
                    phases.push(phase);
                }
            }
        }
        let reach = |i: usize| g.out[i] + (g.kernel[i] - 1) * g.dilations[i] / g.strides[i];
        let plain = g.kernel == [1, 1] && g.strides == [1, 1] && g.pads == [0; 4];
        Self { geometry, planes, height, width, phases, rows: reach(0), cols: reach(1), plain }
    }

    /// Elements of the copy, with what the last vector reads beyond it.
    pub fn len(&self) -> usize {
        self.planes * self.plane_len() + 4
    }

    /// Whether there is nothing to copy.
    pub fn is_empty(&self) -> bool {
        self.planes == 0
    }

    /// Whether the copy of a plane is the plane.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Elements of one plane.
    pub fn plane_len(&self) -> usize {
        self.phases.len() * self.rows * self.cols
    }

    /// Where output (0, 0) reads tap (`ky`, `kx`), within a plane.
    pub fn offset(&self, ky: usize, kx: usize) -> usize {
        let g = &self.geometry;
        let (y, x) = (ky * g.dilations[0], kx * g.dilations[1]);
        let phase = [y % g.strides[0], x % g.strides[1]];
        let index = self.phases.iter().position(|p| *p == phase).unwrap_or(0);
        (index * self.rows + y / g.strides[0]) * self.cols + x / g.strides[1]
    }

    /// The outputs of one plane, four neighbours at a time, in pairs of groups: always an even
    /// number, the last one possibly empty.
    pub fn groups(&self) -> Vec<Group> {
        let [oh, ow] = self.geometry.out;
        // Where rows touch, the whole plane is one row.
        let (oh, ow) = if self.cols == ow { (1, oh * ow) } else { (oh, ow) };
        let mut groups = Vec::new();
        for y in 0..oh {
            for x in (0..ow).step_by(4) {
                let (base, out, len) = (y * self.cols + x, y * ow + x, 4.min(ow - x));
                groups.push(Group { base, out, len, eight: false });
            }
        }
        if groups.len() % 2 == 1 {
            groups.push(Group { base: 0, out: 0, len: 0, eight: false });
        }
        for pair in groups.chunks_exact_mut(2) {
            pair[0].eight = pair[0].len == 4 && pair[1].len == 4 && pair[1].out == pair[0].out + 4;
        }
        groups
    }

    /// Calls `row(destination index, first column, last column + 1, source row, source column of
    /// the first)` for every row of a plane's copy. The source row is that of the padded image and
    /// may lie outside.
    fn each_row(&self, mut row: impl FnMut(usize, usize, usize, isize, usize)) {
        let g = &self.geometry;
        let [sy, sx] = g.strides;
        let [top, left, ..] = g.pads;
        for (i, [py, px]) in self.phases.iter().enumerate() {
            let first = left.saturating_sub(*px).div_ceil(sx).min(self.cols);
            let last = (self.width + left).saturating_sub(*px).div_ceil(sx).clamp(first, self.cols);
            let column = (first * sx + px).saturating_sub(left);
            for r in 0..self.rows {
                let y = (r * sy + py) as isize - top as isize;
                row((i * self.rows + r) * self.cols, first, last, y, column);
            }
        }
    }

    fn source<'a, T>(&self, plane: &'a [T], y: isize) -> Option<&'a [T]> {
        let y = usize::try_from(y).ok().filter(|y| *y < self.height)?;
        plane.get(y * self.width..(y + 1) * self.width)
    }

    /// Copies an image, padded with zeros. `copy` has [`Self::len`] elements.
    pub fn fill_f32(&self, image: &[f32], copy: &mut [f32]) {
        let sx = self.geometry.strides[1];
        let planes = image.chunks_exact((self.height * self.width).max(1));
        for (plane, copy) in planes.zip(copy.chunks_exact_mut(self.plane_len())) {
            self.each_row(|at, first, last, y, column| {
                let to = &mut copy[at..at + self.cols];
                let Some(from) = self.source(plane, y) else {
                    to.fill(0.0);
                    return;
                };
                to[..first].fill(0.0);
                to[last..].fill(0.0);
                if first == last {
                } else if sx == 1 {
                    to[first..last].copy_from_slice(&from[column..column + last - first]);
                } else {
                    for (t, f) in to[first..last].iter_mut().zip(from[column..].iter().step_by(sx)) {
                        *t = *f;
                    }
                }
            });
        }
    }

    /// For each value of a plane of the copy of pairs, the byte it comes from, counted from the beginning of the
    /// plane's first channel; `None` for padding and for the halves of pairs that are not there. `partner`: whether
    /// channels are paired and the second one is there.
    pub fn sources(&self, pairing: Pairing, partner: bool) -> Vec<Option<usize>> {
        let g = &self.geometry;
        let place = |at: usize, down: usize| {
            let [py, px] = self.phases[at / (self.rows * self.cols)];
            let (row, column) = (at / self.cols % self.rows, at % self.cols);
            let y = (row * g.strides[0] + py + down).checked_sub(g.pads[0]).filter(|y| *y < self.height)?;
            let x = (column * g.strides[1] + px).checked_sub(g.pads[1]).filter(|x| *x < self.width)?;
            Some(y * self.width + x)
        };
        let second = |at: usize| match pairing {
            Pairing::Rows => place(at, g.dilations[0]),
            Pairing::Channels => place(at, 0).filter(|_| partner).map(|i| i + self.height * self.width),
        };
        (0..self.plane_len()).flat_map(|at| [place(at, 0), second(at)]).collect()
    }

    /// Copies an image of `per_group` channels per group as pairs of i16, the zero point taken
    /// off and padding 0. The window's planes are pairs of channels or single channels, as
    /// `pairing` says; `copy` has twice [`Self::len`] elements.
    pub fn fill_pairs<L: Lanes>(
        &self,
        image: &[i8],
        per_group: usize,
        pairing: Pairing,
        zero_point: i32,
        copy: &mut [i16],
    ) {
        let (sx, below) = (self.geometry.strides[1], self.geometry.dilations[0] as isize);
        let area = self.height * self.width;
        let pairs_per_group = per_group.div_ceil(2);
        let nothing: &[i8] = &[];
        for (p, copy) in copy.chunks_exact_mut(2 * self.plane_len()).take(self.planes).enumerate() {
            let (first_channel, partner) = match pairing {
                Pairing::Rows => (p, Some(p)),
                Pairing::Channels => {
                    let within = p % pairs_per_group * 2;
                    let channel = p / pairs_per_group * per_group + within;
                    (channel, (within + 1 < per_group).then_some(channel + 1))
                }
            };
            // Beyond the plane there is more to read, but for the last one.
            let from = |c: usize| image.get(c * area..).unwrap_or(nothing);
            let (a_plane, b_plane) = (from(first_channel), partner.map_or(nothing, from));
            if self.plain {
                let (a, b) = (a_plane, (!b_plane.is_empty()).then_some(b_plane));
                pairs::<L>(Some(a), b, 1, zero_point, &mut copy[..2 * area]);
                continue;
            }
            let row = |plane: &'_ [i8], y: isize, column: usize| -> Option<usize> {
                let y = usize::try_from(y).ok().filter(|y| *y < self.height && !plane.is_empty())?;
                Some(y * self.width + column)
            };
            self.each_row(|at, first, last, y, column| {
                let to = &mut copy[2 * at..2 * (at + self.cols)];
                let a = row(a_plane, y, column).and_then(|i| a_plane.get(i..));
                let y = if pairing == Pairing::Rows { y + below } else { y };
                let b = row(b_plane, y, column).and_then(|i| b_plane.get(i..));
                if a.is_none() && b.is_none() || first == last {
                    to.fill(0);
                    return;
                }
                to[..2 * first].fill(0);
                to[2 * last..].fill(0);
                pairs::<L>(a, b, sx, zero_point, &mut to[2 * first..2 * last]);
            });
        }
    }
}

/// Pairs of every `step`-th value of two rows, widened, the zero point taken off; 0 for a row that is not there.
/// The rows may go on beyond what is wanted.
#[inline(always)]
fn pairs<L: Lanes>(a: Option<&[i8]>, b: Option<&[i8]>, step: usize, zero_point: i32, to: &mut [i16]) {
    let zero = zero_point as i16;
    let count = to.len() / 2;
    // So many values are made at once, from eight bytes.
    let at_once = if step == 1 && count >= 8 { 8 } else { 4 };
    let enough = |row: Option<&[i8]>| row.is_none_or(|row| row.len() >= (count - at_once) * step + 8);
    if step > 2 || count < at_once || !enough(a) || !enough(b) {
        for (i, t) in to.chunks_exact_mut(2).enumerate() {
            t[0] = a.map_or(0, |a| i16::from(a[i * step]) - zero);
            t[1] = b.map_or(0, |b| i16::from(b[i * step]) - zero);
        }
        return;
    }
    let (nought, zero) = (L::h_splat(0), L::h_splat(super::conv_i8::pair(zero, zero)));
    let mut done = 0;
    while done < count {
        // The last ones again where they are not a whole number of vectors.
        let i = done.min(count - at_once);
        // SAFETY: eight bytes from i · step are within both rows, as was checked for the largest i;
        // `at_once` pairs from i are within `to`.
        unsafe {
            let load = |row: Option<&[i8]>| match row {
                Some(row) if step == 1 => L::h_sub(L::h_widen(row.as_ptr().add(i)), zero),
                Some(row) => L::h_sub(L::h_widen_even(row.as_ptr().add(2 * i)), zero),
                None => nought,
            };
            let (a, b) = (load(a), load(b));
            let to = to.as_mut_ptr().add(2 * i);
            L::h_store(to, L::h_zip_low(a, b));
            if at_once == 8 {
                L::h_store(to.add(8), L::h_zip_high(a, b));
            }
        }
        done += at_once;
    }
}

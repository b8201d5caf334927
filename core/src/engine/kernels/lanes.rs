//! Vectors of 128 bits: SIMD128 in Wasm, SSE2 on x86-64, and a scalar twin that computes the same
//! bits everywhere. Kernels are written once, generic over [`Lanes`].

/// What a 128-bit vector unit does for the kernels. Every method has one meaning; implementations
/// agree bit for bit.
///
/// # Safety
/// The unsafe methods read or write 16 bytes at the pointer, which need not be aligned.
pub trait Lanes: Copy + 'static {
    /// Four f32.
    type F: Copy;
    /// Four i32.
    type I: Copy;
    /// Eight i16.
    type H: Copy;

    /// Name for people.
    const NAME: &'static str;
    /// Whether [`Lanes::h_choose`] is one instruction or two, and not a loop.
    const CHOOSES: bool;

    /// Four times the same f32.
    fn f_splat(x: f32) -> Self::F;
    /// Loads four f32.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn f_load(p: *const f32) -> Self::F;
    /// Stores four f32.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn f_store(p: *mut f32, x: Self::F);
    /// a + b.
    fn f_add(a: Self::F, b: Self::F) -> Self::F;
    /// a · b.
    fn f_mul(a: Self::F, b: Self::F) -> Self::F;
    /// a < b ? b : a.
    fn f_max(a: Self::F, b: Self::F) -> Self::F;
    /// b < a ? b : a.
    fn f_min(a: Self::F, b: Self::F) -> Self::F;
    /// Nearest f32 of each i32.
    fn f_from_i(a: Self::I) -> Self::F;

    /// Four times the same i32.
    fn i_splat(x: i32) -> Self::I;
    /// Loads four i32.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn i_load(p: *const i32) -> Self::I;
    /// a + b, wrapping.
    fn i_add(a: Self::I, b: Self::I) -> Self::I;
    /// The four lanes.
    fn i_array(a: Self::I) -> [i32; 4];
    /// (a · `multiplier` + `offset`) >> `shift` in 64 bits, the low 32 bits kept.
    /// 0 <= `multiplier`, 1 <= `shift` <= 62, |`offset`| <= 2^61.
    fn i_scale(a: Self::I, multiplier: i32, shift: u32, offset: i64) -> Self::I;
    /// [`Lanes::i_scale`] by a shift of 32, which costs nothing: the high halves are taken.
    fn i_scale_high(a: Self::I, multiplier: i32, offset: i64) -> Self::I;
    /// Eight i32, clamped to `low..=high` (each eight times the same i16 within i8).
    fn i_narrow(a: Self::I, b: Self::I, low: Self::H, high: Self::H) -> [i8; 8];

    /// Four times the same pair of i16, given as one i32 (low half first).
    fn h_splat(pair: i32) -> Self::H;
    /// Loads eight i16.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn h_load(p: *const i16) -> Self::H;
    /// Stores eight i16.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn h_store(p: *mut i16, x: Self::H);
    /// Sums of the products of neighbours: `a0·b0 + a1·b1`, ..., exact but for i16::MIN squared.
    fn h_dot(a: Self::H, b: Self::H) -> Self::I;
    /// a + b, wrapping.
    fn h_add(a: Self::H, b: Self::H) -> Self::H;
    /// a − b, wrapping.
    fn h_sub(a: Self::H, b: Self::H) -> Self::H;
    /// `a0 b0 a1 b1 a2 b2 a3 b3`.
    fn h_zip_low(a: Self::H, b: Self::H) -> Self::H;
    /// `a4 b4 a5 b5 a6 b6 a7 b7`.
    fn h_zip_high(a: Self::H, b: Self::H) -> Self::H;
    /// Eight i8, widened.
    ///
    /// # Safety
    /// Reads eight bytes at the pointer, not sixteen.
    unsafe fn h_widen(p: *const i8) -> Self::H;
    /// Eight of sixteen i8, by their places, widened; 0 where a place is 16 or more.
    ///
    /// # Safety
    /// Reads sixteen bytes at the pointer.
    unsafe fn h_choose(p: *const i8, places: &[u8; 8]) -> Self::H;
    /// Every second one of eight i8, the first included, widened: four values, then four of no meaning that
    /// all implementations agree on (0).
    ///
    /// # Safety
    /// Reads eight bytes at the pointer, not sixteen.
    unsafe fn h_widen_even(p: *const i8) -> Self::H;
}

/// (x · `multiplier` + `offset`) >> `shift`; see [`Lanes::i_scale`].
pub fn scale_i32(x: i32, multiplier: i32, shift: u32, offset: i64) -> i32 {
    ((i64::from(x) * i64::from(multiplier) + offset) >> shift) as i32
}

/// The scalar twin.
#[derive(Debug, Clone, Copy)]
pub struct Scalar;

impl Lanes for Scalar {
    type F = [f32; 4];
    type I = [i32; 4];
    type H = [i16; 8];
    const NAME: &'static str = "scalar";
    const CHOOSES: bool = true;

    #[inline(always)]
    fn f_splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn f_load(p: *const f32) -> [f32; 4] {
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn f_store(p: *mut f32, x: [f32; 4]) {
        unsafe { p.cast::<[f32; 4]>().write_unaligned(x) }
    }
    #[inline(always)]
    fn f_add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    fn f_mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }
    #[inline(always)]
    fn f_max(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i] < b[i] { b[i] } else { a[i] })
    }
    #[inline(always)]
    fn f_min(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if b[i] < a[i] { b[i] } else { a[i] })
    }
    #[inline(always)]
    fn f_from_i(a: [i32; 4]) -> [f32; 4] {
        a.map(|x| x as f32)
    }
    #[inline(always)]
    fn i_splat(x: i32) -> [i32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn i_load(p: *const i32) -> [i32; 4] {
        unsafe { p.cast::<[i32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    fn i_add(a: [i32; 4], b: [i32; 4]) -> [i32; 4] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn i_array(a: [i32; 4]) -> [i32; 4] {
        a
    }
    #[inline(always)]
    fn i_scale(a: [i32; 4], multiplier: i32, shift: u32, offset: i64) -> [i32; 4] {
        a.map(|x| scale_i32(x, multiplier, shift, offset))
    }
    #[inline(always)]
    fn i_scale_high(a: [i32; 4], multiplier: i32, offset: i64) -> [i32; 4] {
        a.map(|x| scale_i32(x, multiplier, 32, offset))
    }
    #[inline(always)]
    fn i_narrow(a: [i32; 4], b: [i32; 4], low: [i16; 8], high: [i16; 8]) -> [i8; 8] {
        let value = |i: usize| if i < 4 { a[i] } else { b[i - 4] };
        std::array::from_fn(|i| value(i).clamp(low[i].into(), high[i].into()) as i8)
    }
    #[inline(always)]
    fn h_splat(pair: i32) -> [i16; 8] {
        let (low, high) = (pair as i16, (pair >> 16) as i16);
        [low, high, low, high, low, high, low, high]
    }
    #[inline(always)]
    unsafe fn h_load(p: *const i16) -> [i16; 8] {
        unsafe { p.cast::<[i16; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn h_store(p: *mut i16, x: [i16; 8]) {
        unsafe { p.cast::<[i16; 8]>().write_unaligned(x) }
    }
    #[inline(always)]
    fn h_add(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn h_sub(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        std::array::from_fn(|i| a[i].wrapping_sub(b[i]))
    }
    #[inline(always)]
    fn h_zip_low(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        std::array::from_fn(|i| if i % 2 == 0 { a[i / 2] } else { b[i / 2] })
    }
    #[inline(always)]
    fn h_zip_high(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
        std::array::from_fn(|i| if i % 2 == 0 { a[4 + i / 2] } else { b[4 + i / 2] })
    }
    #[inline(always)]
    unsafe fn h_widen(p: *const i8) -> [i16; 8] {
        unsafe { p.cast::<[i8; 8]>().read_unaligned() }.map(i16::from)
    }
    #[inline(always)]
    unsafe fn h_choose(p: *const i8, places: &[u8; 8]) -> [i16; 8] {
        let x = unsafe { p.cast::<[i8; 16]>().read_unaligned() };
        places.map(|i| x.get(usize::from(i)).map_or(0, |x| i16::from(*x)))
    }
    #[inline(always)]
    unsafe fn h_widen_even(p: *const i8) -> [i16; 8] {
        let x = unsafe { p.cast::<[i8; 8]>().read_unaligned() };
        std::array::from_fn(|i| if i < 4 { i16::from(x[2 * i]) } else { 0 })
    }
    #[inline(always)]
    fn h_dot(a: [i16; 8], b: [i16; 8]) -> [i32; 4] {
        std::array::from_fn(|i| {
            let product = |j: usize| i32::from(a[j]) * i32::from(b[j]);
            product(2 * i).wrapping_add(product(2 * i + 1))
        })
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod native {
    use super::Lanes;
    use core::arch::wasm32::*;

    /// SIMD128.
    #[derive(Debug, Clone, Copy)]
    pub struct Simd;

    impl Lanes for Simd {
        type F = v128;
        type I = v128;
        type H = v128;
        const NAME: &'static str = "SIMD128";
        const CHOOSES: bool = true;

        #[inline(always)]
        fn f_splat(x: f32) -> v128 {
            f32x4_splat(x)
        }
        #[inline(always)]
        unsafe fn f_load(p: *const f32) -> v128 {
            unsafe { v128_load(p.cast()) }
        }
        #[inline(always)]
        unsafe fn f_store(p: *mut f32, x: v128) {
            unsafe { v128_store(p.cast(), x) }
        }
        #[inline(always)]
        fn f_add(a: v128, b: v128) -> v128 {
            f32x4_add(a, b)
        }
        #[inline(always)]
        fn f_mul(a: v128, b: v128) -> v128 {
            f32x4_mul(a, b)
        }
        #[inline(always)]
        fn f_max(a: v128, b: v128) -> v128 {
            f32x4_pmax(a, b)
        }
        #[inline(always)]
        fn f_min(a: v128, b: v128) -> v128 {
            f32x4_pmin(a, b)
        }
        #[inline(always)]
        fn f_from_i(a: v128) -> v128 {
            f32x4_convert_i32x4(a)
        }
        #[inline(always)]
        fn i_splat(x: i32) -> v128 {
            i32x4_splat(x)
        }
        #[inline(always)]
        unsafe fn i_load(p: *const i32) -> v128 {
            unsafe { v128_load(p.cast()) }
        }
        #[inline(always)]
        fn i_add(a: v128, b: v128) -> v128 {
            i32x4_add(a, b)
        }
        #[inline(always)]
        fn i_array(a: v128) -> [i32; 4] {
            [
                i32x4_extract_lane::<0>(a),
                i32x4_extract_lane::<1>(a),
                i32x4_extract_lane::<2>(a),
                i32x4_extract_lane::<3>(a),
            ]
        }
        #[inline(always)]
        fn i_scale(a: v128, multiplier: i32, shift: u32, offset: i64) -> v128 {
            let (m, offset) = (i32x4_splat(multiplier), i64x2_splat(offset));
            let low = i64x2_shr(i64x2_add(i64x2_extmul_low_i32x4(a, m), offset), shift);
            let high = i64x2_shr(i64x2_add(i64x2_extmul_high_i32x4(a, m), offset), shift);
            i32x4_shuffle::<0, 2, 4, 6>(low, high)
        }
        #[inline(always)]
        fn i_scale_high(a: v128, multiplier: i32, offset: i64) -> v128 {
            let (m, offset) = (i32x4_splat(multiplier), i64x2_splat(offset));
            let low = i64x2_add(i64x2_extmul_low_i32x4(a, m), offset);
            let high = i64x2_add(i64x2_extmul_high_i32x4(a, m), offset);
            i32x4_shuffle::<1, 3, 5, 7>(low, high)
        }
        #[inline(always)]
        fn i_narrow(a: v128, b: v128, low: v128, high: v128) -> [i8; 8] {
            let h = i16x8_min(i16x8_max(i16x8_narrow_i32x4(a, b), low), high);
            i64x2_extract_lane::<0>(i8x16_narrow_i16x8(h, h)).to_le_bytes().map(|x| x as i8)
        }
        #[inline(always)]
        fn h_splat(pair: i32) -> v128 {
            i32x4_splat(pair)
        }
        #[inline(always)]
        unsafe fn h_load(p: *const i16) -> v128 {
            unsafe { v128_load(p.cast()) }
        }
        #[inline(always)]
        unsafe fn h_store(p: *mut i16, x: v128) {
            unsafe { v128_store(p.cast(), x) }
        }
        #[inline(always)]
        fn h_dot(a: v128, b: v128) -> v128 {
            i32x4_dot_i16x8(a, b)
        }
        #[inline(always)]
        fn h_add(a: v128, b: v128) -> v128 {
            i16x8_add(a, b)
        }
        #[inline(always)]
        fn h_sub(a: v128, b: v128) -> v128 {
            i16x8_sub(a, b)
        }
        #[inline(always)]
        fn h_zip_low(a: v128, b: v128) -> v128 {
            i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b)
        }
        #[inline(always)]
        fn h_zip_high(a: v128, b: v128) -> v128 {
            i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b)
        }
        #[inline(always)]
        unsafe fn h_widen(p: *const i8) -> v128 {
            unsafe { i16x8_load_extend_i8x8(p) }
        }
        #[inline(always)]
        unsafe fn h_choose(p: *const i8, places: &[u8; 8]) -> v128 {
            let chosen =
                unsafe { i8x16_swizzle(v128_load(p.cast()), v128_load64_zero(places.as_ptr().cast())) };
            i16x8_extend_low_i8x16(chosen)
        }
        #[inline(always)]
        unsafe fn h_widen_even(p: *const i8) -> v128 {
            i16x8_shr(i16x8_shl(unsafe { v128_load64_zero(p.cast()) }, 8), 8)
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod native {
    use super::Lanes;
    use core::arch::x86_64::*;

    /// SSE2, which every x86-64 processor has.
    #[derive(Debug, Clone, Copy)]
    pub struct Simd;

    // SAFETY of every block here: SSE2 is part of the x86-64 baseline.
    impl Lanes for Simd {
        type F = __m128;
        type I = __m128i;
        type H = __m128i;
        const NAME: &'static str = "SSE2";
        const CHOOSES: bool = false;

        #[inline(always)]
        fn f_splat(x: f32) -> __m128 {
            unsafe { _mm_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn f_load(p: *const f32) -> __m128 {
            unsafe { _mm_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn f_store(p: *mut f32, x: __m128) {
            unsafe { _mm_storeu_ps(p, x) }
        }
        #[inline(always)]
        fn f_add(a: __m128, b: __m128) -> __m128 {
            unsafe { _mm_add_ps(a, b) }
        }
        #[inline(always)]
        fn f_mul(a: __m128, b: __m128) -> __m128 {
            unsafe { _mm_mul_ps(a, b) }
        }
        #[inline(always)]
        fn f_max(a: __m128, b: __m128) -> __m128 {
            unsafe { _mm_max_ps(b, a) }
        }
        #[inline(always)]
        fn f_min(a: __m128, b: __m128) -> __m128 {
            unsafe { _mm_min_ps(b, a) }
        }
        #[inline(always)]
        fn f_from_i(a: __m128i) -> __m128 {
            unsafe { _mm_cvtepi32_ps(a) }
        }
        #[inline(always)]
        fn i_splat(x: i32) -> __m128i {
            unsafe { _mm_set1_epi32(x) }
        }
        #[inline(always)]
        unsafe fn i_load(p: *const i32) -> __m128i {
            unsafe { _mm_loadu_si128(p.cast()) }
        }
        #[inline(always)]
        fn i_add(a: __m128i, b: __m128i) -> __m128i {
            unsafe { _mm_add_epi32(a, b) }
        }
        #[inline(always)]
        fn i_array(a: __m128i) -> [i32; 4] {
            let mut out = [0; 4];
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), a) };
            out
        }
        /// SSE2 multiplies 32 × 32 -> 64 bits without sign only: x + 2^31 is multiplied, and what
        /// that adds is taken off again, along with a lift that keeps the sum positive for the
        /// logical shift.
        #[inline(always)]
        fn i_scale(a: __m128i, multiplier: i32, shift: u32, offset: i64) -> __m128i {
            let excess = (multiplier as u64) << 31;
            let lift = ((excess + (1 << 61)) >> shift) + 1;
            let add = (lift << shift).wrapping_add_signed(offset) - excess;
            unsafe {
                let m = _mm_set1_epi32(multiplier);
                let add = _mm_set1_epi64x(add as i64);
                let by = _mm_cvtsi32_si128(shift as i32);
                let u = _mm_xor_si128(a, _mm_set1_epi32(i32::MIN));
                let even = _mm_srl_epi64(_mm_add_epi64(_mm_mul_epu32(u, m), add), by);
                let odd = _mm_srl_epi64(_mm_add_epi64(_mm_mul_epu32(_mm_srli_epi64::<32>(u), m), add), by);
                let even = _mm_shuffle_epi32::<0b00_00_10_00>(even);
                let odd = _mm_shuffle_epi32::<0b00_00_10_00>(odd);
                _mm_sub_epi32(_mm_unpacklo_epi32(even, odd), _mm_set1_epi32(lift as i32))
            }
        }
        #[inline(always)]
        fn i_scale_high(a: __m128i, multiplier: i32, offset: i64) -> __m128i {
            // As in `i_scale`; of the high halves nothing is lost by wrapping.
            let add = offset.wrapping_sub(i64::from(multiplier) << 31);
            unsafe {
                let (m, add) = (_mm_set1_epi32(multiplier), _mm_set1_epi64x(add));
                let u = _mm_xor_si128(a, _mm_set1_epi32(i32::MIN));
                let even = _mm_add_epi64(_mm_mul_epu32(u, m), add);
                let odd = _mm_add_epi64(_mm_mul_epu32(_mm_srli_epi64::<32>(u), m), add);
                let high = _mm_and_si128(odd, _mm_set1_epi64x(!0xffff_ffff));
                _mm_or_si128(_mm_srli_epi64::<32>(even), high)
            }
        }
        #[inline(always)]
        fn i_narrow(a: __m128i, b: __m128i, low: __m128i, high: __m128i) -> [i8; 8] {
            unsafe {
                let h = _mm_min_epi16(_mm_max_epi16(_mm_packs_epi32(a, b), low), high);
                _mm_cvtsi128_si64(_mm_packs_epi16(h, h)).to_le_bytes().map(|x| x as i8)
            }
        }
        #[inline(always)]
        fn h_splat(pair: i32) -> __m128i {
            unsafe { _mm_set1_epi32(pair) }
        }
        #[inline(always)]
        unsafe fn h_load(p: *const i16) -> __m128i {
            unsafe { _mm_loadu_si128(p.cast()) }
        }
        #[inline(always)]
        unsafe fn h_store(p: *mut i16, x: __m128i) {
            unsafe { _mm_storeu_si128(p.cast(), x) }
        }
        #[inline(always)]
        fn h_dot(a: __m128i, b: __m128i) -> __m128i {
            unsafe { _mm_madd_epi16(a, b) }
        }
        #[inline(always)]
        fn h_add(a: __m128i, b: __m128i) -> __m128i {
            unsafe { _mm_add_epi16(a, b) }
        }
        #[inline(always)]
        fn h_sub(a: __m128i, b: __m128i) -> __m128i {
            unsafe { _mm_sub_epi16(a, b) }
        }
        #[inline(always)]
        fn h_zip_low(a: __m128i, b: __m128i) -> __m128i {
            unsafe { _mm_unpacklo_epi16(a, b) }
        }
        #[inline(always)]
        fn h_zip_high(a: __m128i, b: __m128i) -> __m128i {
            unsafe { _mm_unpackhi_epi16(a, b) }
        }
        #[inline(always)]
        unsafe fn h_widen(p: *const i8) -> __m128i {
            unsafe {
                let x = _mm_loadl_epi64(p.cast());
                _mm_srai_epi16::<8>(_mm_unpacklo_epi8(x, x))
            }
        }
        /// SSE2 shuffles no bytes: one by one.
        #[inline(always)]
        unsafe fn h_choose(p: *const i8, places: &[u8; 8]) -> __m128i {
            let chosen = unsafe { super::Scalar::h_choose(p, places) };
            unsafe { _mm_loadu_si128(chosen.as_ptr().cast()) }
        }
        #[inline(always)]
        unsafe fn h_widen_even(p: *const i8) -> __m128i {
            unsafe { _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(_mm_loadl_epi64(p.cast()))) }
        }
    }
}

#[cfg(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128")))]
pub use native::Simd;

/// Where no vector unit is known, the twin does the work.
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128"))))]
pub type Simd = Scalar;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn scaling_agrees_with_wide_arithmetic_to_the_last_bit() {
        let mut rng = Rng::new(3);
        for _ in 0..20_000 {
            let shift = 1 + rng.below(62) as u32;
            let multiplier = (1 << 30) + rng.below(1 << 30) as i32;
            let offset = (rng.next_u64() as i64) >> (3 + rng.below(40));
            let x: [i32; 4] = std::array::from_fn(|i| match (i, rng.below(8)) {
                (_, 0) => i32::MIN,
                (_, 1) => i32::MAX,
                (_, 2) => 0,
                _ => rng.next_u64() as i32,
            });
            let exact =
                x.map(|x| ((i128::from(x) * i128::from(multiplier) + i128::from(offset)) >> shift) as i32);
            assert_eq!(Scalar::i_scale(x, multiplier, shift, offset), exact);
            let v = unsafe { Simd::i_load(x.as_ptr()) };
            assert_eq!(
                Simd::i_array(Simd::i_scale(v, multiplier, shift, offset)),
                exact,
                "{x:?} {multiplier} {shift}"
            );
            let high =
                x.map(|x| ((i128::from(x) * i128::from(multiplier) + i128::from(offset)) >> 32) as i32);
            assert_eq!(Scalar::i_scale_high(x, multiplier, offset), high);
            assert_eq!(Simd::i_array(Simd::i_scale_high(v, multiplier, offset)), high, "{x:?} {multiplier}");
        }
    }

    #[test]
    fn lanes_of_16_bits_agree() {
        let mut rng = Rng::new(4);
        let stored = |x: <Simd as Lanes>::H| {
            let mut out = [0; 8];
            unsafe { Simd::h_store(out.as_mut_ptr(), x) };
            out
        };
        for _ in 0..200 {
            let mut eight = || -> [i16; 8] { std::array::from_fn(|_| rng.next_u64() as i16) };
            let (a, b) = (eight(), eight());
            let (x, y) = unsafe { (Simd::h_load(a.as_ptr()), Simd::h_load(b.as_ptr())) };
            assert_eq!(stored(Simd::h_sub(x, y)), Scalar::h_sub(a, b));
            assert_eq!(stored(Simd::h_zip_low(x, y)), Scalar::h_zip_low(a, b));
            assert_eq!(stored(Simd::h_zip_high(x, y)), Scalar::h_zip_high(a, b));
            assert_eq!(Simd::i_array(Simd::h_dot(x, y)), Scalar::h_dot(a, b));
            let bytes: [i8; 8] = a.map(|x| x as i8);
            let p = bytes.as_ptr();
            unsafe {
                assert_eq!(stored(Simd::h_widen(p)), Scalar::h_widen(p));
                assert_eq!(stored(Simd::h_widen_even(p)), Scalar::h_widen_even(p));
            }
            let [low, high] = [-100i16, 90].map(|x| i32::from(x) & 0xffff | i32::from(x) << 16);
            let ints = [a, b].map(|v| std::array::from_fn::<i32, 4, _>(|i| i32::from(v[i]) >> 4));
            let [p, q] = ints.map(|v| unsafe { Simd::i_load(v.as_ptr()) });
            let narrow = Scalar::i_narrow(ints[0], ints[1], Scalar::h_splat(low), Scalar::h_splat(high));
            assert_eq!(Simd::i_narrow(p, q, Simd::h_splat(low), Simd::h_splat(high)), narrow);
        }
    }
}

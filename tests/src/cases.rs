//! The operators' cases, which the core holds (the GPU engine's self-test uses them too), and a read-back
//! that waits.

use espalier_core::ops::Value;
pub use espalier_core::ops::cases::*;

/// Reads values back.
///
/// # Panics
/// The device fails; tests only.
pub fn read(value: &Value) -> Vec<f32> {
    espalier_core::with_value!(value.clone(), t => t.into_data().try_to_vec::<f32>().expect("f32 values"))
}

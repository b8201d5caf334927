//! Files in and out.

pub mod file;
pub mod onnx;
pub mod proto;
pub mod recording;

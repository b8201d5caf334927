//! The page in a real browser, as a visitor uses it. Behaviour only; nothing here is timed.
//!
//! One browser at a time (`--test-threads=1`): each has workers of its own.

mod access;
mod compare;
mod control;
mod faults;
mod gpu;
#[allow(dead_code)]
mod harness;
mod labs;
mod places;
mod search;
mod story;

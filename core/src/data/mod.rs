//! Data sets and their splits: one file per format, and the list of formats.

mod csv;
mod digits;
pub mod generated;
mod idx;
pub mod nb201;
mod split;

use crate::search::tabular::Table;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Validation,
    /// To report, once.
    Test,
}

/// A labelled data set for classification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Name, as in `RunSpec::data`.
    pub name: String,
    /// Shape of one sample without the batch axis, e.g. `[1, 8, 8]`.
    pub shape: Vec<usize>,
    /// All samples, one after the other, scaled to about [0, 1] or standardized.
    pub inputs: Vec<f32>,
    /// A class for each sample.
    pub labels: Vec<u32>,
    /// Class names.
    pub classes: Vec<String>,
    /// Indices of the training samples.
    pub train: Vec<u32>,
    /// Indices of the validation samples.
    pub validation: Vec<u32>,
    /// Indices of the test samples.
    pub test: Vec<u32>,
    /// Measured networks in place of samples, where the file was a tabular benchmark. It stays where it was read.
    #[serde(skip)]
    pub table: Option<Arc<Table>>,
}

impl Dataset {
    /// Values in one sample.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// One sample's values.
    pub fn sample(&self, index: u32) -> &[f32] {
        let n = self.sample_len();
        let start = index as usize * n;
        self.inputs.get(start..start + n).unwrap_or(&[])
    }

    /// Indices of a split.
    pub fn split(&self, split: Split) -> &[u32] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Inputs and labels of some samples, side by side.
    pub fn gather(&self, indices: &[u32]) -> (Vec<f32>, Vec<u32>) {
        let mut inputs = Vec::with_capacity(indices.len() * self.sample_len());
        indices.iter().for_each(|i| inputs.extend_from_slice(self.sample(*i)));
        (inputs, indices.iter().filter_map(|i| self.labels.get(*i as usize).copied()).collect())
    }

    /// The shipped digits, from their file.
    ///
    /// # Errors
    /// The file is another one, or cut short; says where it breaks.
    pub fn digits(name: &str, bytes: &[u8]) -> Result<Self> {
        digits::open(name, bytes)
    }

    /// Opens a file by its format: `digits`, `csv` or `idx`.
    ///
    /// # Errors
    /// The format is unknown or the file is not of it; says where it breaks.
    pub fn open(name: &str, format: &str, bytes: &[u8]) -> Result<Self> {
        match FORMATS.iter().find(|f| f.id == format) {
            Some(known) => (known.open)(name, bytes),
            None => {
                let known: Vec<&str> = FORMATS.iter().map(|f| f.id).collect();
                Err(Error::format(
                    name,
                    format!("the format “{format}” is not known; {} are", known.join(", ")),
                ))
            }
        }
    }
}

/// A kind of file that holds a data set.
#[derive(Clone, Copy)]
pub struct Format {
    /// As in [`crate::protocol::Command::Data`].
    pub id: &'static str,
    /// What it is, for the file picker.
    pub summary: &'static str,
    open: fn(&str, &[u8]) -> Result<Dataset>,
}

/// Every format, alphabetical.
pub static FORMATS: &[Format] = &[
    Format { id: "csv", summary: "A table of numbers with a class in each row.", open: csv::open },
    Format { id: "digits", summary: "The shipped handwritten digits.", open: digits::open },
    Format {
        id: "idx",
        summary: "Images and labels as of MNIST, one file after the other.",
        open: idx::open,
    },
    Format { id: "nb201", summary: "The measurements of NAS-Bench-201.", open: nb201::open },
];

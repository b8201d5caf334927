//! A table instead of training: NAS-Bench-201's measurements, or a visitor's in the same form.
//!
//! The table is CSV text with a header. Needed columns: `cell` (the published cell string),
//! `c10_val_200ep` and `c10_test_200ep` (percent). Used where present: `params_M` (millions) and
//! `c10_val_12ep` (percent), which answers evaluations of at most 12 epochs.

use super::{Candidate, Evaluator, LocalFuture, Prepared};
use crate::protocol::{Metric, Metrics};
use crate::space::{Genome, nb201};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// One architecture's measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Trainable parameters, in millions, where given.
    pub params_m: Option<f64>,
    /// Validation accuracy after full training, percent.
    pub val: f64,
    /// Test accuracy after full training, percent.
    pub test: f64,
    /// Validation accuracy after 12 epochs, percent, where given.
    pub val_12: Option<f64>,
}

/// A tabular benchmark.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    rows: BTreeMap<Genome, Row>,
}

impl Table {
    /// Reads CSV text; `name` is the file's, for messages.
    ///
    /// # Errors
    /// Names the missing column, or the line and column of what cannot be read.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let wrong = |message: String| Error::format(name, message);
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
        let Some((_, header)) = lines.next() else { return Err(wrong("it is empty".into())) };
        let header: Vec<&str> = header.split(',').map(str::trim).collect();
        let column = |key: &str| header.iter().position(|h| *h == key);
        let needed = |key: &str| {
            column(key).ok_or_else(|| {
                wrong(format!("line 1: the column “{key}” is missing; there are {}", header.join(", ")))
            })
        };
        let (cell, val, test) = (needed("cell")?, needed("c10_val_200ep")?, needed("c10_test_200ep")?);
        let (params, val_12) = (column("params_M"), column("c10_val_12ep"));
        let mut rows = BTreeMap::new();
        for (i, line) in lines {
            let at = i + 1;
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            if fields.len() != header.len() {
                return Err(wrong(format!(
                    "line {at} has {} values where the header has {} columns",
                    fields.len(),
                    header.len()
                )));
            }
            let number = |c: usize, range: std::ops::RangeInclusive<f64>| {
                fields[c].parse::<f64>().ok().filter(|v| range.contains(v)).ok_or_else(|| {
                    wrong(format!(
                        "line {at}, column “{}”: “{}” is not a number between {} and {}",
                        header[c],
                        fields[c],
                        range.start(),
                        range.end()
                    ))
                })
            };
            let genome = nb201::parse_cell(fields[cell])
                .map_err(|e| wrong(format!("line {at}, column “cell”: {e}")))?;
            let row = Row {
                params_m: params.map(|c| number(c, 0.0..=1e6)).transpose()?,
                val: number(val, 0.0..=100.0)?,
                test: number(test, 0.0..=100.0)?,
                val_12: val_12.map(|c| number(c, 0.0..=100.0)).transpose()?,
            };
            if rows.insert(genome, row).is_some() {
                return Err(wrong(format!("line {at}, column “cell”: this cell was there before")));
            }
        }
        match rows.is_empty() {
            true => Err(wrong("it has a header but no rows".into())),
            false => Ok(Self { rows }),
        }
    }

    /// A cell's measurements.
    pub fn get(&self, genome: &Genome) -> Option<&Row> {
        self.rows.get(genome)
    }

    /// Every cell with its measurements.
    pub fn iter(&self) -> impl Iterator<Item = (&Genome, &Row)> {
        self.rows.iter()
    }
}

/// Answers evaluations from a table, at once.
pub struct Tabular<'a> {
    table: &'a Table,
    trained: RefCell<BTreeMap<u32, u32>>,
}

impl<'a> Tabular<'a> {
    /// An evaluator for one search.
    pub fn new(table: &'a Table) -> Self {
        Self { table, trained: RefCell::default() }
    }
}

impl Evaluator for Tabular<'_> {
    fn prepare(&self, genome: &Genome) -> Result<Prepared> {
        self.table.get(genome).map(|_| Prepared::default()).ok_or_else(|| {
            Error::Unsupported(format!("the table has no cell {}", nb201::cell_string(genome)))
        })
    }

    fn start(&self, candidate: &Candidate, epochs: u32) -> LocalFuture<'static, Result<Metrics>> {
        let mut trained = self.trained.borrow_mut();
        let total = trained.entry(candidate.id).or_default();
        *total += epochs;
        let metrics = self.table.get(&candidate.genome).map(|row| {
            let val = row.val_12.filter(|_| *total <= 12).unwrap_or(row.val);
            let mut metrics =
                vec![(Metric::ValAccuracy, val / 100.0), (Metric::TestAccuracy, row.test / 100.0)];
            metrics.extend(row.params_m.map(|m| (Metric::Params, m * 1e6)));
            metrics
        });
        let result = metrics.ok_or_else(|| Error::Unsupported("the table has no such cell".into()));
        Box::pin(std::future::ready(result))
    }
}

/// Runs a strategy whose evaluator answers at once to its end.
///
/// # Errors
/// The strategy's own, or that something did not answer at once.
pub fn run_now<T>(future: LocalFuture<'_, Result<T>>) -> Result<T> {
    let mut future = future;
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => {
            Err(Error::Unsupported("a table answers at once, but something else was awaited".into()))
        }
    }
}

#[cfg(test)]
#[path = "tabular_tests.rs"]
mod tests;

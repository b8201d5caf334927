//! What a run has told so far, as signals: everything is drawn from these.

use crate::components::{Dot, Drawn, Line};
use crate::dom::prelude::*;
use espalier_core::protocol::{Event, HeatRow, Tone};
use std::sync::Arc;

/// A line chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// Title and identity.
    pub title: String,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Chart {
    /// Adds points to a line, which is made where there is none of that label.
    pub fn add(&mut self, label: &str, tone: Tone, points: &[(f64, f64)]) {
        let index = self.lines.iter().position(|l| l.label == label).unwrap_or_else(|| {
            self.lines.push(Line { label: label.into(), tone, ..Line::default() });
            self.lines.len() - 1
        });
        self.lines[index].points.extend_from_slice(points);
    }
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Title and identity.
    pub title: String,
    /// Headings.
    pub columns: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

/// Small images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Images {
    /// Title and identity.
    pub title: String,
    /// Width and height of each, pixels.
    pub size: (u32, u32),
    /// Caption and values of each.
    pub images: Vec<(String, Vec<f32>)>,
}

/// One distribution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Title; with the label its identity.
    pub title: String,
    /// Which one.
    pub label: String,
    /// Its hue.
    pub tone: Tone,
    /// Left edge of the first and right edge of the last bin.
    pub range: (f64, f64),
    /// Counts.
    pub counts: Vec<u32>,
}

/// A confusion matrix.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Confusion {
    /// Class names.
    pub classes: Vec<String>,
    /// `counts[truth][answer]`.
    pub counts: Vec<Vec<u32>>,
    /// `(sample, truth, answer)`.
    pub samples: Vec<(u32, u32, u32)>,
}

/// A claim and whether it held.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The sentence with its numbers.
    pub sentence: String,
    /// `None` is undecided.
    pub holds: Option<bool>,
    /// What to change to see it break.
    pub breaks: String,
}

/// A job at work.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// Its identity within the run.
    pub id: Vec<u32>,
    /// What it is.
    pub label: String,
    /// Part done, 0 to 1.
    pub fraction: f64,
    /// Named values so far, by epoch or by part done.
    pub trail: Chart,
}

/// What one run has told.
#[derive(Clone, Copy)]
pub struct Board {
    /// What it is doing, in a sentence.
    pub title: RwSignal<String>,
    /// Done, in all.
    pub progress: RwSignal<(u32, u32)>,
    /// What was last done.
    pub label: RwSignal<String>,
    /// Line charts.
    pub charts: RwSignal<Vec<Chart>>,
    /// Candidates.
    pub points: RwSignal<Vec<Dot>>,
    /// Their architectures, by their numbers.
    graphs: RwSignal<Vec<(u32, Arc<Drawn>)>>,
    /// The choices that make them, where they were told.
    choices: RwSignal<Vec<(u32, Vec<u8>)>>,
    /// Tables.
    pub tables: RwSignal<Vec<Table>>,
    /// Images.
    pub images: RwSignal<Vec<Images>>,
    /// Histograms.
    pub histograms: RwSignal<Vec<Histogram>>,
    /// What methods lean towards, by title.
    pub heats: RwSignal<Vec<(String, Vec<HeatRow>)>>,
    /// The confusion matrix.
    pub confusion: RwSignal<Option<Confusion>>,
    /// The verdict.
    pub verdict: RwSignal<Option<Verdict>>,
    /// Lines of text.
    pub log: RwSignal<Vec<String>>,
    /// How it ended badly.
    pub error: RwSignal<Option<String>>,
    /// How it ended well.
    pub finished: RwSignal<Option<String>>,
    /// Jobs at work.
    pub live: RwSignal<Vec<Live>>,
    /// The stream itself, to be kept and downloaded.
    pub events: StoredValue<Vec<Event>>,
    /// Whether this is a recording.
    pub recorded: RwSignal<bool>,
    /// The candidate under the pointer.
    pub hovered: RwSignal<Option<u32>>,
    /// The chosen candidate.
    pub selected: RwSignal<Option<u32>>,
}

impl Board {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            title: RwSignal::default(),
            progress: RwSignal::default(),
            label: RwSignal::default(),
            charts: RwSignal::default(),
            points: RwSignal::default(),
            graphs: RwSignal::default(),
            choices: RwSignal::default(),
            tables: RwSignal::default(),
            images: RwSignal::default(),
            histograms: RwSignal::default(),
            heats: RwSignal::default(),
            confusion: RwSignal::default(),
            verdict: RwSignal::default(),
            log: RwSignal::default(),
            error: RwSignal::default(),
            finished: RwSignal::default(),
            live: RwSignal::default(),
            events: StoredValue::default(),
            recorded: RwSignal::default(),
            hovered: RwSignal::default(),
            selected: RwSignal::default(),
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.title.set(String::new());
        self.progress.set((0, 0));
        self.label.set(String::new());
        self.charts.set(Vec::new());
        self.hovered.set(None);
        self.selected.set(None);
        self.points.set(Vec::new());
        self.graphs.set(Vec::new());
        self.choices.set(Vec::new());
        self.tables.set(Vec::new());
        self.images.set(Vec::new());
        self.histograms.set(Vec::new());
        self.heats.set(Vec::new());
        self.confusion.set(None);
        self.verdict.set(None);
        self.log.set(Vec::new());
        self.error.set(None);
        self.finished.set(None);
        self.live.set(Vec::new());
        self.events.set_value(Vec::new());
        self.recorded.set(false);
    }

    /// Whether nothing has been told.
    pub fn is_empty(&self) -> bool {
        self.title.with(String::is_empty)
            && self.points.with(Vec::is_empty)
            && self.error.with(Option::is_none)
    }

    /// A candidate's architecture.
    pub fn graph(&self, id: u32) -> Option<Arc<Drawn>> {
        self.graphs.with(|all| all.iter().find(|(other, _)| *other == id).map(|(_, drawn)| drawn.clone()))
    }

    /// A candidate's choices as they are written in a setting, e.g. "3-1-0".
    pub fn choices(&self, id: u32) -> Option<String> {
        let of = |all: &Vec<(u32, Vec<u8>)>| all.iter().find(|(other, _)| *other == id).map(|c| c.1.clone());
        Some(self.choices.with(of)?.iter().map(u8::to_string).collect::<Vec<_>>().join("-"))
    }

    /// Takes an event in. Finished models are the caller's.
    pub fn apply(&self, event: Event) {
        match event {
            Event::Started { title, steps } => {
                self.title.set(title);
                self.progress.set((0, steps.unwrap_or(0)));
            }
            Event::Progress { done, total, label } => {
                self.progress.set((done, total));
                self.label.set(label);
            }
            Event::Series { chart, line, tone, x_label, y_label, points } => self.charts.update(|charts| {
                let index = charts.iter().position(|c| c.title == chart).unwrap_or_else(|| {
                    charts.push(Chart { title: chart, x_label, y_label, lines: Vec::new() });
                    charts.len() - 1
                });
                charts[index].add(&line, tone, &points);
            }),
            Event::Point { group, tone, id, label, metrics, .. } => {
                self.points.update(|points| {
                    points.retain(|p| p.id != id);
                    points.push(Dot { id, label, group, tone, metrics });
                });
            }
            Event::Graph { id, graph, anatomy } => self.graphs.update(|graphs| {
                graphs.retain(|(other, _)| *other != id);
                graphs.push((id, Drawn::new(graph, anatomy)));
            }),
            Event::Table { title, columns, rows } => self.tables.update(|tables| {
                let table = Table { title, columns, rows };
                match tables.iter_mut().find(|t| t.title == table.title) {
                    Some(old) => *old = table,
                    None => tables.push(table),
                }
            }),
            Event::Images { title, width, height, images } => self.images.update(|all| {
                let images = Images { title, size: (width, height), images };
                match all.iter_mut().find(|i| i.title == images.title) {
                    Some(old) => *old = images,
                    None => all.push(images),
                }
            }),
            Event::Histogram { title, label, tone, range, counts } => self.histograms.update(|all| {
                let one = Histogram { title, label, tone, range, counts };
                match all.iter_mut().find(|h| h.title == one.title && h.label == one.label) {
                    Some(old) => *old = one,
                    None => all.push(one),
                }
            }),
            Event::Confusion { classes, counts, samples } => {
                self.confusion.set(Some(Confusion { classes, counts, samples }));
            }
            Event::Verdict { sentence, holds, breaks, .. } => {
                self.verdict.set(Some(Verdict { sentence, holds, breaks }));
            }
            Event::Log(text) => self.log.update(|log| log.push(text)),
            Event::Error(text) => self.error.set(Some(text)),
            Event::Finished(text) => self.finished.set(Some(text)),
            Event::Band { chart, line, points } => self.charts.update(|charts| {
                let of = charts.iter_mut().find(|c| c.title == chart);
                if let Some(line) = of.and_then(|c| c.lines.iter_mut().find(|l| l.label == line)) {
                    line.band = points;
                }
            }),
            Event::Heat { title, rows } => {
                self.heats.update(|all| match all.iter_mut().find(|h| h.0 == title) {
                    Some(old) => old.1 = rows,
                    None => all.push((title, rows)),
                })
            }
            Event::Choices { id, choices } => self.choices.update(|all| {
                all.retain(|(other, _)| *other != id);
                all.push((id, choices));
            }),
            Event::Model { .. } => {}
        }
    }

    /// Takes news from inside a job in.
    pub fn news(&self, id: Vec<u32>, label: String, fraction: f64, values: &[(String, f64)]) {
        self.live.update(|live| {
            let index = live.iter().position(|l| l.id == id).unwrap_or_else(|| {
                let trail = Chart {
                    title: label.clone(),
                    x_label: "epoch".into(),
                    y_label: "loss".into(),
                    lines: Vec::new(),
                };
                live.push(Live { id, label, fraction, trail });
                live.len() - 1
            });
            let job = &mut live[index];
            job.fraction = fraction;
            let Some(x) = values.iter().find(|(name, _)| name == "epoch").map(|v| v.1) else { return };
            for (name, value) in values.iter().filter(|(name, v)| name != "epoch" && v.is_finite()) {
                let tone = if name.contains("val") { Tone::Grow } else { Tone::Baseline };
                let seen = job.trail.lines.iter().find(|l| l.label == *name);
                if seen.and_then(|l| l.points.last()).is_none_or(|last| last.0 < x) {
                    job.trail.add(name, tone, &[(x, *value)]);
                }
            }
        });
    }
}

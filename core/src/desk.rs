//! Where the coordinator answers the page's questions, between its decisions.
//!
//! An answer depends on the question and on the models that were handed over before it, and on nothing else; the
//! clock comes from outside and is used to measure latency alone.

use crate::data::Dataset;
use crate::engine::{Plan, argmax, softmax};
use crate::io;
use crate::model::{Anatomy, Graph, Model, Weight, diff};
use crate::protocol::{Answer, Answered, Changed, Event, Metric, Metrics, Question, Reading};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// How long passes are repeated to see a coarse clock move, in milliseconds: for an answer to a drawing, and for
/// one measurement of a latency.
const READ_MS: f64 = 4.0;
const TIME_MS: f64 = 6.0;
/// A small network needs no more passes than this to see the clock move.
const MOST_PASSES: u32 = 4096;

/// The models in question, and plans of those that were run.
#[derive(Default)]
pub struct Desk {
    models: BTreeMap<u32, (Model, Option<Plan>)>,
}

impl Desk {
    /// Keeps a model under a number, in place of what was kept there.
    pub fn hold(&mut self, number: u32, model: Model) {
        self.models.insert(number, (model, None));
    }

    /// Answers. Errors are in words, for the person who asked. `now_ms` is a clock in milliseconds.
    pub fn answer(&mut self, question: Question, now_ms: &dyn Fn() -> f64) -> Answered {
        let answer = match question {
            Question::Open { name, bytes } => open(&name, &bytes),
            Question::Fresh(graph, seed) => graph.analyze(1).map(|_| answer_model(Model::init(graph, seed))),
            Question::Write(number) => self.model(number).and_then(io::file::encode).map(Answer::File),
            Question::Lines(events) => lines(&events).map(Answer::File),
            Question::Compare(before, after) => changes(&before, &after).map(Answer::Changes),
            Question::Read(numbers, sample) => {
                let mut read = |n: &u32| self.read(*n, &sample, now_ms).map_err(|e| e.to_string());
                Ok(Answer::Readings(numbers.iter().map(&mut read).collect()))
            }
            Question::Time(number) => self.time(number, now_ms).map(Answer::LatencyMs),
        };
        answer.map_err(|e| e.to_string())
    }

    fn held(&mut self, number: u32) -> Result<&mut (Model, Option<Plan>)> {
        let missing = || Error::Unsupported(format!("the model no. {number} is not known to the engine"));
        self.models.get_mut(&number).ok_or_else(missing)
    }

    fn model(&mut self, number: u32) -> Result<&Model> {
        self.held(number).map(|held| &held.0)
    }

    fn plan(&mut self, number: u32) -> Result<&mut Plan> {
        let (model, plan) = self.held(number)?;
        match plan {
            Some(plan) => Ok(plan),
            None => Ok(plan.insert(Plan::new(model, 1)?)),
        }
    }

    fn read(&mut self, number: u32, sample: &[f32], now_ms: &dyn Fn() -> f64) -> Result<Reading> {
        let plan = self.plan(number)?;
        let (start, mut passes, mut logits) = (now_ms(), 0u32, Vec::new());
        while passes == 0 || (now_ms() - start < READ_MS && passes < 64) {
            logits = plan.run_all(sample)?;
            passes += 1;
        }
        let ms = (now_ms() - start) / f64::from(passes);
        let class = argmax(&logits)?;
        let probability = softmax(&logits).get(class).copied().map_or(0.0, f64::from);
        Ok(Reading { class, probability, ms })
    }

    fn time(&mut self, number: u32, now_ms: &dyn Fn() -> f64) -> Result<f64> {
        let plan = self.plan(number)?;
        let input: Vec<f32> = (0..plan.input_len()).map(|i| (i * 7 % 17) as f32 / 16.0).collect();
        let mut output = Vec::new();
        let (start, mut passes) = (now_ms(), 0u32);
        while passes == 0 || (now_ms() - start < TIME_MS && passes < MOST_PASSES) {
            plan.run(&input, &mut output)?;
            passes += 1;
        }
        Ok((now_ms() - start) / f64::from(passes))
    }
}

/// A model with its layers and what can be counted without running it.
fn answer_model(model: Model) -> Answer {
    let anatomy = Anatomy::of(&model.graph);
    let bytes: usize = model.weights.values().map(Weight::stored_bytes).sum();
    let metrics: Metrics = vec![
        (Metric::Params, anatomy.params as f64),
        (Metric::Macs, anatomy.macs as f64),
        (Metric::Bytes, bytes as f64),
        (Metric::PeakBytes, anatomy.peak_bytes as f64),
    ];
    Answer::Model(Box::new(model), anatomy, metrics)
}

/// What is in a file, by its name's ending and its content.
fn open(name: &str, bytes: &[u8]) -> Result<Answer> {
    let lower = name.to_lowercase();
    let data = |format: &str| Ok(Answer::Data(Dataset::open(name, format, bytes)?, format.into()));
    if lower.ends_with(".csv") && crate::data::nb201::is_meant(bytes) {
        data("nb201")
    } else if lower.ends_with(".csv") {
        data("csv")
    } else if lower.ends_with(".onnx") {
        let model = io::onnx::import(bytes, name)?.model();
        model.map(answer_model).ok_or_else(|| Error::format(name, "it has no weights to work with"))
    } else if lower.ends_with(".espalier") {
        io::file::decode(name, bytes).map(answer_model)
    } else if lower.contains("idx") || lower.ends_with("ubyte") {
        data("idx")
    } else {
        Err(Error::Unsupported(format!(
            "“{name}” is of no kind known here. Data: .csv, IDX. Models: .espalier, as downloaded from this page, and .onnx."
        )))
    }
}

/// Events as JSON, one a line.
fn lines(events: &[Event]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for event in events {
        serde_json::to_writer(&mut out, event)
            .map_err(|e| Error::Numeric(format!("the run cannot be written: {e}")))?;
        out.push(b'\n');
    }
    Ok(out)
}

/// Layers that differ, with what changed and what it costs.
fn changes(before: &Graph, after: &Graph) -> Result<Vec<Changed>> {
    let diff = diff::diff(before, after)?;
    let differ = |r: &&diff::Row| !matches!(r.status, diff::Status::Kept | diff::Status::Rewired);
    let changed = |row: &diff::Row| {
        let name = row.after.as_ref().or(row.before.as_ref()).map_or("", |s| s.name.as_str());
        let what = match row.status {
            diff::Status::Added => "added".to_owned(),
            diff::Status::Removed => "removed".to_owned(),
            _ => {
                let each = row.changes.iter().filter_map(|c| match &c.what {
                    diff::What::Attribute(key) => Some(format!("{key} {} → {}", c.before, c.after)),
                    diff::What::Weight(1) => Some(format!("weights {} → {}", c.before, c.after)),
                    diff::What::Weight(_) | diff::What::Input(_) => None,
                });
                each.collect::<Vec<_>>().join(", ")
            }
        };
        let shape = |side: &diff::Side| side.shape.get(1..).unwrap_or_default().to_vec();
        let delta = row.delta();
        Changed {
            layer: format!("{} {name}", row.op),
            what,
            before: row.before.as_ref().map(shape),
            after: row.after.as_ref().map(shape),
            params: delta.params,
            macs: delta.macs,
        }
    };
    Ok(diff.rows.iter().filter(differ).map(changed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, GraphBuilder};
    use std::cell::Cell;

    fn graph(channels: usize) -> Graph {
        let mut b = GraphBuilder::new("g", &[1, 8, 8]);
        let x = b.conv("x", channels, 3, ConvOptions::default()).unwrap();
        let x = b.unary("Relu", &x).unwrap();
        let x = b.unary("Flatten", &x).unwrap();
        let x = b.linear(&x, 10).unwrap();
        b.finish(&x).unwrap()
    }

    /// Asks with a clock that goes on by a millisecond whenever it is looked at.
    fn ask(desk: &mut Desk, question: Question) -> Answered {
        let now = Cell::new(0.0);
        desk.answer(question, &|| {
            now.set(now.get() + 1.0);
            now.get()
        })
    }

    fn fresh(desk: &mut Desk, channels: usize) -> Model {
        match ask(desk, Question::Fresh(graph(channels), 7)) {
            Ok(Answer::Model(model, anatomy, metrics)) => {
                assert_eq!(anatomy, Anatomy::of(&model.graph));
                assert_eq!(metrics[2], (Metric::Bytes, 4.0 * metrics[0].1));
                *model
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_written_model_opens_again_and_reads_as_the_reference_does() {
        let mut desk = Desk::default();
        let model = fresh(&mut desk, 4);
        assert_eq!(model, Model::init(graph(4), 7));
        desk.hold(3, model.clone());
        let Ok(Answer::File(bytes)) = ask(&mut desk, Question::Write(3)) else { panic!("no file") };
        let opened = ask(&mut desk, Question::Open { name: "Mine.ESPALIER".into(), bytes });
        assert!(matches!(opened, Ok(Answer::Model(back, ..)) if *back == model));

        let sample: Vec<f32> = (0..64).map(|i| i as f32 / 64.0).collect();
        let logits = crate::engine::reference::run(&model, &sample).unwrap();
        let Ok(Answer::Readings(readings)) = ask(&mut desk, Question::Read(vec![3, 9], sample)) else {
            panic!("no readings")
        };
        let reading = readings[0].as_ref().unwrap();
        assert_eq!(reading.class, argmax(&logits).unwrap());
        assert!((0.1..=1.0).contains(&reading.probability) && reading.ms > 0.0, "{reading:?}");
        assert!(readings[1].as_ref().unwrap_err().contains("no. 9"));
        assert!(matches!(ask(&mut desk, Question::Time(3)), Ok(Answer::LatencyMs(ms)) if ms > 0.0));
        // A sample that does not fit is answered in words, each model for itself.
        let Ok(Answer::Readings(readings)) = ask(&mut desk, Question::Read(vec![3], vec![0.0; 5])) else {
            panic!("no readings")
        };
        assert!(readings[0].is_err());
    }

    #[test]
    fn changes_are_in_words_with_what_they_cost() {
        let Ok(Answer::Changes(rows)) = ask(&mut Desk::default(), Question::Compare(graph(4), graph(6)))
        else {
            panic!("no changes")
        };
        let conv = rows.iter().find(|r| r.layer == "Conv conv0").unwrap();
        assert_eq!(conv.what, "weights [4, 1, 3, 3] → [6, 1, 3, 3]");
        assert_eq!(
            (conv.before.as_deref(), conv.after.as_deref()),
            (Some(&[4, 8, 8][..]), Some(&[6, 8, 8][..]))
        );
        assert_eq!((conv.params, conv.macs), (18, 18 * 64));
        assert_eq!(
            ask(&mut Desk::default(), Question::Compare(graph(4), graph(4))),
            Ok(Answer::Changes(vec![]))
        );
    }

    #[test]
    fn files_that_are_none_are_answered_with_their_names() {
        let open = |name: &str, bytes: &[u8]| {
            let question = Question::Open { name: name.into(), bytes: bytes.into() };
            ask(&mut Desk::default(), question).unwrap_err()
        };
        for (name, bytes) in
            [("a.csv", &b"\x00\xff"[..]), ("b.onnx", &[8, 8, 18, 255]), ("c.espalier", b"ESP")]
        {
            assert!(open(name, bytes).contains(name));
        }
        assert!(open("train-idx3-ubyte", &[0, 0, 8, 3]).contains("train-idx3-ubyte"));
        assert!(open("d.zip", b"PK").contains("of no kind known here"));
        let csv: String = (0..24).map(|i| format!("{i},{},{}\n", i * i % 7, ["a", "b"][i % 2])).collect();
        let question = Question::Open { name: "e.csv".into(), bytes: csv.into_bytes() };
        let answer = ask(&mut Desk::default(), question);
        assert!(matches!(answer, Ok(Answer::Data(set, format)) if set.labels.len() == 24 && format == "csv"));
    }

    #[test]
    fn lines_are_json() {
        let events = vec![Event::Log("one".into()), Event::Finished("two".into())];
        let Ok(Answer::File(bytes)) = ask(&mut Desk::default(), Question::Lines(events)) else {
            panic!("no file")
        };
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"Log\":\"one\"}\n{\"Finished\":\"two\"}\n");
    }
}

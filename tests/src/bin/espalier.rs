//! `espalier run CONFIG.json` and `espalier claims [ids]`: what `cargo xtask` calls.

use espalier_core::io::recording::Recording;
use espalier_core::model::{Graph, Model};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, RunSpec};
use espalier_tests::claims;
use espalier_tests::pool::{self, News, Options};
use serde_json::{Value, json};
use std::process::ExitCode;

const HELP: &str = "\
espalier run CONFIG.json [--record FILE]
                             run a search, a training or a lab; its events are JSON lines; a
                             recording is what the page replays before any engine has loaded
espalier claims [ids]        run labs over several seeds and write static/data/claims.json

CONFIG.json: {\"kind\": \"train\", \"seed\": 1, \"data\": \"digits\", \"threads\": 2,
  \"config\": {\"train.epochs\": 10}, \"model\": {...} or \"graph\": {...}}
A graph starts from fresh weights.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", path] => run(path, None),
        ["run", path, "--record", record] => run(path, Some(record)),
        ["claims", ids @ ..] => claims(ids),
        _ => {
            eprint!("{HELP}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("espalier: {message}");
            ExitCode::FAILURE
        }
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn run(path: &str, record: Option<&str>) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    let file: Value = serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))?;
    let spec = spec(&file).map_err(|e| format!("{path}: {e}"))?;
    let threads = file["threads"].as_u64().map_or_else(threads, |n| n as usize);
    let data = pool::shipped().map_err(|e| e.to_string())?;
    let options = Options { threads, stop_after: None };
    let recorded = spec.clone();
    let outcome = pool::run(spec, &data, Vec::new(), options, |news| match news {
        News::Event(event) => println!("{}", summary(event)),
        News::Progress(id, progress) => {
            let values: Vec<String> =
                progress.values.iter().map(|(name, v)| format!("{name} {v:.4}")).collect();
            eprintln!("job {:?} {:3.0} %  {}", id.0, 100.0 * progress.fraction, values.join("  "));
        }
    })
    .map_err(|e| e.to_string())?;
    match outcome.events.iter().find_map(|e| if let Event::Error(m) = e { Some(m.clone()) } else { None }) {
        Some(message) => return Err(message),
        None if !outcome.finished => return Err("the run did not end".into()),
        None => {}
    }
    match record {
        None => Ok(()),
        Some(record) => std::fs::write(record, recording(recorded, &outcome.events)?)
            .map_err(|e| format!("cannot write {record}: {e}")),
    }
}

/// Bytes of a recording at most: it is part of the page's first data.
const RECORDING_BYTES: usize = 60_000;

/// A recording without weights and confusion matrices.
fn recording(spec: RunSpec, events: &[Event]) -> Result<Vec<u8>, String> {
    let days = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() / 86_400);
    let light = |e: &&Event| !matches!(e, Event::Model { .. } | Event::Confusion { .. });
    let recording = Recording {
        build: format!("espalier {}, native", claims::BUILD),
        days_since_1970: days as u32,
        spec: RunSpec { model: None, ..spec },
        events: events.iter().filter(light).cloned().collect(),
    };
    let bytes = recording.encode().map_err(|e| e.to_string())?;
    match bytes.len() {
        n if n > RECORDING_BYTES => Err(format!("the recording has {n} bytes, over {RECORDING_BYTES}")),
        _ => Ok(bytes),
    }
}

/// Reads a run's configuration: like a `RunSpec`, but settings are plain JSON values.
fn spec(file: &Value) -> Result<RunSpec, String> {
    let kind = file["kind"].as_str().ok_or("“kind” must name a run, e.g. \"search\"")?.to_owned();
    let seed = match &file["seed"] {
        Value::Null => 1,
        v => v.as_u64().ok_or_else(|| format!("“seed” is {v}, not a whole number"))?,
    };
    let mut config = Config::default();
    if let Some(settings) = file["config"].as_object() {
        for (key, value) in settings {
            let value = match value {
                Value::Bool(v) => ParamValue::Bool(*v),
                Value::Number(v) => match v.as_i64() {
                    Some(v) => ParamValue::Int(v),
                    None => ParamValue::Float(v.as_f64().unwrap_or(f64::NAN)),
                },
                Value::String(v) => ParamValue::Text(v.clone()),
                other => return Err(format!("setting “{key}” is {other}, not a value")),
            };
            config.0.insert(key.clone(), value);
        }
    }
    let model = match (&file["model"], &file["graph"]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, graph) => {
            let graph: Graph = serde_json::from_value(graph.clone()).map_err(|e| format!("“graph”: {e}"))?;
            Some(Model::init(graph, seed))
        }
        (model, _) => Some(serde_json::from_value(model.clone()).map_err(|e| format!("“model”: {e}"))?),
    };
    let data = file["data"].as_str().unwrap_or("digits").to_owned();
    Ok(RunSpec { kind, config, seed, data, model })
}

/// An event as JSON; graphs and models by their counts, not their contents.
fn summary(event: &Event) -> Value {
    let of = |graph: &Graph| {
        let analysis = graph.analyze(1).unwrap_or_default();
        json!({
            "name": graph.name, "nodes": graph.nodes.len(), "params": analysis.total.params,
            "macs": analysis.total.macs, "fingerprint": format!("{:016x}", graph.fingerprint()),
        })
    };
    match event {
        Event::Graph { id, graph, .. } => json!({ "Graph": { "id": id, "graph": of(graph) } }),
        Event::Model { name, tone, made_by, model, metrics, .. } => json!({ "Model": {
            "name": name, "tone": tone, "made_by": made_by, "model": of(&model.graph), "metrics": metrics,
        } }),
        other => serde_json::to_value(other).unwrap_or_else(|e| json!({ "Error": e.to_string() })),
    }
}

/// Runs labs over several seeds and writes what was measured, as it was measured.
fn claims(ids: &[&str]) -> Result<(), String> {
    let labs = claims::labs(ids)?;
    let data = pool::shipped().map_err(|e| e.to_string())?;
    for lab in labs {
        let id = lab.method.id;
        let options = Options { threads: threads(), stop_after: None };
        let (start, cpu) = (std::time::Instant::now(), cpu_seconds());
        let outcome = pool::run(claims::spec(lab), &data, Vec::new(), options, |news| {
            if let News::Event(Event::Progress { done, total, label }) = news {
                eprintln!("{id}: {done} of {total}, {label}");
            }
        });
        let spent = claims::Spent {
            seconds: start.elapsed().as_secs(),
            cpu_seconds: cpu_seconds().zip(cpu).map(|(after, before)| (after - before).round()),
            on: None,
        };
        claims::write(lab, &outcome.map_err(|e| e.to_string())?.events, &spent)?;
    }
    Ok(())
}

/// Processor time of this process so far, in seconds, where the system tells it as Linux does (user and
/// system time, in hundredths).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|t| t.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / 100.0)
}

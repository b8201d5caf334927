//! `espalier run CONFIG.json` and `espalier claims [ids]`: what `cargo xtask` calls.

use espalier_core::io::recording::Recording;
use espalier_core::labs;
use espalier_core::model::{Graph, Model};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, RunSpec};
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

/// Seeds of every lab's claim.
const SEEDS: i64 = 5;

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
        build: format!("espalier {BUILD}, native"),
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

/// Runs labs over [`SEEDS`] seeds and writes what was measured, as it was measured.
fn claims(ids: &[&str]) -> Result<(), String> {
    if let Some(unknown) = ids.iter().find(|id| labs::get(id).is_none()) {
        let known: Vec<&str> = labs::ALL.iter().map(|lab| lab.method.id).collect();
        return Err(format!("there is no lab “{unknown}”; there are: {}", known.join(", ")));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../static/data/claims.json");
    // Labs that are not run now keep what was measured before.
    let old = std::fs::read_to_string(path).ok().and_then(|t| serde_json::from_str::<Value>(&t).ok());
    let mut report = old.and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let data = pool::shipped().map_err(|e| e.to_string())?;
    for lab in labs::ALL.iter().filter(|lab| ids.is_empty() || ids.contains(&lab.method.id)) {
        let id = lab.method.id;
        let spec = RunSpec {
            kind: format!("lab:{id}"),
            config: Config::default().with(&format!("{id}.seeds"), ParamValue::Int(SEEDS)),
            seed: 1,
            data: "digits".into(),
            model: None,
        };
        let options = Options { threads: threads(), stop_after: None };
        let (start, cpu) = (std::time::Instant::now(), cpu_seconds());
        let outcome = pool::run(spec, &data, Vec::new(), options, |news| {
            if let News::Event(Event::Progress { done, total, label }) = news {
                eprintln!("{id}: {done} of {total}, {label}");
            }
        });
        let events = outcome.map_err(|e| e.to_string())?.events;
        if let Some(message) =
            events.iter().find_map(|e| if let Event::Error(m) = e { Some(m) } else { None })
        {
            return Err(format!("the lab “{id}” ended with an error: {message}"));
        }
        let verdict = events.iter().rev().find_map(|event| match event {
            Event::Verdict { sentence, holds, breaks, checks } => Some((sentence, holds, breaks, checks)),
            _ => None,
        });
        let (sentence, holds, breaks, checks) =
            verdict.ok_or_else(|| format!("the lab “{id}” ended without a verdict"))?;
        println!("{id}: {}", outcome_in_words(*holds));
        for check in checks {
            println!(
                "  {}: {}, on {} of {} seeds",
                check.what,
                outcome_in_words(check.holds),
                check.held,
                check.seeds
            );
        }
        println!("  {sentence}");
        let tables: Vec<Value> = events
            .iter()
            .filter_map(|event| match event {
                Event::Table { title, columns, rows } => {
                    Some(json!({ "title": title, "columns": columns, "rows": rows }))
                }
                _ => None,
            })
            .collect();
        report.insert(
            id.into(),
            json!({
                "claim": lab.claim, "holds": holds, "sentence": sentence, "breaks": breaks,
                "seeds": SEEDS, "checks": checks, "tables": tables,
                "date": today(), "build": BUILD, "seconds": start.elapsed().as_secs(),
                "cpu_seconds": cpu_seconds().zip(cpu).map(|(after, before)| (after - before).round()),
            }),
        );
    }
    let text = serde_json::to_string_pretty(&Value::Object(report)).map_err(|e| e.to_string())?;
    std::fs::write(path, text + "\n").map_err(|e| format!("cannot write {path}: {e}"))
}

fn outcome_in_words(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "holds",
        Some(false) => "does not hold",
        None => "undecided",
    }
}

/// What was measured with: the version, and the hash of the sources that `build.rs` takes.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " (sources ", env!("ESPALIER_SOURCES"), ")");

/// Processor time of this process so far, in seconds, where the system tells it as Linux does (user and
/// system time, in hundredths).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|t| t.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / 100.0)
}

/// Today's date in UTC, as YYYY-MM-DD.
fn today() -> String {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (year, month, day) = civil((seconds / 86_400) as i64);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The Gregorian date of a day since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", 2013).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

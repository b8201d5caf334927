//! The report of the labs' claims, `static/data/claims.json`: what the gallery shows.

use espalier_core::labs::{self, Lab};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, RunSpec};
use serde_json::{Map, Value, json};

/// Seeds of every lab's claim.
pub const SEEDS: i64 = 5;

/// What was measured with: the version, and the hash of the sources that `build.rs` takes.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " (sources ", env!("ESPALIER_SOURCES"), ")");

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../static/data/claims.json");

/// What measuring a claim took.
#[derive(Debug, Clone, Default)]
pub struct Spent {
    /// Wall time.
    pub seconds: u64,
    /// Processor time, where it is known.
    pub cpu_seconds: Option<f64>,
    /// On what device, where not natively on the CPU.
    pub on: Option<String>,
}

/// The labs of these ids, or all where there are none.
///
/// # Errors
/// An id is unknown.
pub fn labs(ids: &[&str]) -> Result<Vec<&'static Lab>, String> {
    if let Some(unknown) = ids.iter().find(|id| labs::get(id).is_none()) {
        let known: Vec<&str> = labs::ALL.iter().map(|lab| lab.method.id).collect();
        return Err(format!("there is no lab “{unknown}”; there are: {}", known.join(", ")));
    }
    let wanted = |lab: &&&'static Lab| ids.is_empty() || ids.contains(&lab.method.id);
    Ok(labs::ALL.iter().filter(wanted).copied().collect())
}

/// The run that measures a claim: seeds from 1 on, defaults otherwise.
pub fn spec(lab: &Lab) -> RunSpec {
    let id = lab.method.id;
    RunSpec {
        kind: format!("lab:{id}"),
        config: Config::default().with(&format!("{id}.seeds"), ParamValue::Int(SEEDS)),
        seed: 1,
        data: "digits".into(),
        model: None,
    }
}

fn outcome_in_words(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "holds",
        Some(false) => "does not hold",
        None => "undecided",
    }
}

/// Whether the report keeps what it says of a lab, against an outcome of now.
fn keeps(known: Option<&Value>, holds: Option<bool>) -> bool {
    holds.is_none() && known.is_some_and(|known| known["holds"].is_boolean())
}

/// Prints a lab's verdict and puts it into the report. A run that could decide nothing (a claim about a GPU, where
/// there was none) does not replace one that could.
///
/// # Errors
/// The run had an error or no verdict, or the report cannot be written.
pub fn write(lab: &Lab, events: &[Event], spent: &Spent) -> Result<(), String> {
    let id = lab.method.id;
    if let Some(message) = events.iter().find_map(|e| if let Event::Error(m) = e { Some(m) } else { None }) {
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
        let (outcome, held, seeds) = (outcome_in_words(check.holds), check.held, check.seeds);
        println!("  {}: {outcome}, on {held} of {seeds} seeds", check.what);
    }
    println!("  {sentence}");
    // Labs that are not run now keep what was measured before.
    let old = std::fs::read_to_string(PATH).ok().and_then(|t| serde_json::from_str::<Value>(&t).ok());
    let mut report: Map<String, Value> = old.and_then(|v| v.as_object().cloned()).unwrap_or_default();
    if keeps(report.get(id), *holds) {
        println!("  The report keeps what was decided before.");
        return Ok(());
    }
    let table = |event: &Event| match event {
        Event::Table { title, columns, rows } => {
            Some(json!({ "title": title, "columns": columns, "rows": rows }))
        }
        _ => None,
    };
    let tables: Vec<Value> = events.iter().filter_map(table).collect();
    let build = spent.on.as_ref().map_or_else(|| BUILD.to_owned(), |on| format!("{BUILD}, {on}"));
    report.insert(
        id.into(),
        json!({
            "claim": lab.claim, "holds": holds, "sentence": sentence, "breaks": breaks,
            "seeds": SEEDS, "checks": checks, "tables": tables,
            "date": today(), "build": build, "seconds": spent.seconds,
            "cpu_seconds": spent.cpu_seconds,
        }),
    );
    let text = serde_json::to_string_pretty(&Value::Object(report)).map_err(|e| e.to_string())?;
    std::fs::write(PATH, text + "\n").map_err(|e| format!("cannot write {PATH}: {e}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undecided_run_leaves_a_decided_one_in_the_report() {
        let [decided, open] = [json!({ "holds": false }), json!({ "holds": null })];
        assert!(keeps(Some(&decided), None));
        assert!(!keeps(Some(&decided), Some(true)) && !keeps(Some(&open), None) && !keeps(None, None));
    }

    #[test]
    fn days_become_dates() {
        assert_eq!([civil(0), civil(59), civil(19_782)], [(1970, 1, 1), (1970, 3, 1), (2024, 2, 29)]);
    }
}

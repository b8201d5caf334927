//! Latency of the models made, measured by the engine a slice at a time and only while no run works, so that
//! neither disturbs the other.

use crate::dom::prelude::*;
use crate::state::{App, Status};
use espalier_core::protocol::{Answer, Metric, Question};
use std::time::Duration;

/// Measurements taken of each model.
const SLICES: usize = 9;

/// Measures whatever model has no latency yet, whenever there is nothing else to do.
pub fn follow(app: App) {
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if app.status.get() != Status::Idle || busy.get() {
            return;
        }
        let next =
            app.models.with(|m| m.iter().find(|m| m.metric(Metric::LatencyMs).is_none()).map(|m| m.id));
        let Some(id) = next else { return };
        busy.set(true);
        // After the picture has been drawn.
        set_timeout(move || slice(app, busy, id, Vec::new()), Duration::from_millis(300));
    });
}

fn slice(app: App, busy: RwSignal<bool>, id: u32, mut times: Vec<f64>) {
    let made = app.models.with_untracked(|m| m.iter().find(|m| m.id == id).cloned());
    let Some(made) = made.filter(|_| app.status.get_untracked() == Status::Idle) else {
        return busy.set(false);
    };
    leptos::task::spawn_local(async move {
        match app.ask(Question::Time(id), &[made]).await {
            Ok(Answer::LatencyMs(ms)) => times.push(ms),
            // What cannot be planned has no latency; it is not tried again.
            _ => return note(app, busy, id, f64::NAN),
        }
        if times.len() < SLICES {
            return set_timeout(move || slice(app, busy, id, times), Duration::from_millis(20));
        }
        // The median: as many are smaller as are larger.
        let rank = |x: &f64| times.iter().filter(|y| *y < x).count();
        let median = times.iter().copied().filter(|x| rank(x) <= SLICES / 2).fold(0.0, f64::max);
        note(app, busy, id, median);
    });
}

fn note(app: App, busy: RwSignal<bool>, id: u32, median_ms: f64) {
    app.models.update(|all| {
        if let Some(made) = all.iter_mut().find(|m| m.id == id) {
            made.metrics.push((Metric::LatencyMs, median_ms));
        }
    });
    busy.set(false);
}

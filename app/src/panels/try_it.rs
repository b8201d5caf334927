//! Use: draw a digit; the float, the pruned and the quantized network answer side by side.

use crate::components::{DrawPad, PixelImage, format, tone_class};
use crate::dom::prelude::*;
use crate::state::{App, Made};
use espalier_core::data::Split;
use espalier_core::protocol::{Answer, Question, Reading, Tone};

/// The stage.
#[component]
pub fn Use() -> View {
    let app = App::get();
    // What is asked: the drawing, or a sample of the test split with its label.
    let sample = RwSignal::new(None::<Vec<f32>>);
    let truth = RwSignal::new(None::<String>);
    let picked = RwSignal::new(0usize);
    let draw = move |image: Vec<f32>| {
        truth.set(None);
        sample.set(image.iter().any(|v| *v > 0.0).then_some(image));
    };
    let test = move |_| {
        let Some(data) = app.dataset.get_untracked() else { return };
        let indices = data.split(Split::Test);
        let Some(index) = indices.get(picked.get_untracked() * 37 % indices.len().max(1)) else { return };
        picked.update(|p| *p += 1);
        sample.set(Some(data.sample(*index).to_vec()));
        truth.set(data.labels.get(*index as usize).and_then(|l| data.classes.get(*l as usize)).cloned());
    };
    let contenders = Memo::new(move |_| {
        app.models.with(|models| {
            let mut chosen: Vec<Made> = [Tone::Grow, Tone::Prune, Tone::Quantize]
                .into_iter()
                .filter_map(|tone| models.iter().rev().find(|m| m.tone == tone).cloned())
                .collect();
            if let Some(hand) = models.iter().find(|m| Some(m.id) == app.active.get())
                && !chosen.iter().any(|c| c.id == hand.id)
            {
                chosen.push(hand.clone());
            }
            chosen
        })
    });
    // The engine's answers, each with the number of its model; those to the last drawing stay until it has
    // answered to this one.
    let told = RwSignal::new(Vec::<(u32, Result<Reading, String>)>::new());
    let asking = StoredValue::new(false);
    Effect::new(move |_| {
        contenders.track();
        if sample.with(Option::is_none) {
            told.set(Vec::new());
        } else if !asking.get_value() {
            ask(app, contenders, sample, told, asking);
        }
    });
    let answers = move || {
        let models = contenders.get();
        if models.is_empty() {
            return view! { <p class="quiet">"No network has been made yet. Search for one and train it; then it answers here."</p> };
        }
        let told = told.get();
        let drawn = sample.with(Option::is_some);
        let answers = models.into_iter().map(|made| {
            let answer = told.iter().find(|(id, _)| *id == made.id).map(|(_, answer)| answer);
            let (says, note) = match answer {
                None if drawn => ("\u{a0}".to_owned(), "\u{a0}".to_owned()),
                None => ("\u{a0}".to_owned(), "draw a digit".to_owned()),
                Some(Ok(r)) => {
                    let name = app
                        .dataset
                        .with_untracked(|d| d.as_ref().and_then(|d| d.classes.get(r.class).cloned()));
                    let note = format!("{} sure · {}", format::percent(r.probability), format::millis(r.ms));
                    (name.unwrap_or_else(|| r.class.to_string()), note)
                }
                Some(Err(text)) => ("?".to_owned(), text.clone()),
            };
            view! {
                <div class=format!("answer {}", tone_class(made.tone))>
                    <h2>{made.word()}" "<span class="quiet small">{made.name.clone()}</span></h2>
                    <p class="says">{says}</p>
                    <p class="small quiet">{note}</p>
                </div>
            }
        });
        view! { <div class="answers" aria-live="polite">{answers.collect_view()}</div> }
    };
    view! {
        <section class="picture" aria-label="Use">
            <h1>"Draw a digit"</h1>
            <div class="use">
                <div class="stack">
                    <DrawPad on_draw=draw />
                    <div class="row">
                        <button type="button" on:click=test>"Take a test digit"</button>
                    </div>
                    {move || truth.get().zip(sample.get()).map(|(truth, values)| {
                        let size = app.dataset.with_untracked(|d| match *d.as_ref()?.shape.as_slice() {
                            [.., h, w] => Some((h, w)),
                            _ => None,
                        });
                        let label = format!("A test sample labelled {truth}");
                        let picture = size.map(|(h, w)| view! {
                            <div class="seen"><PixelImage values=values[..w * h].to_vec() width=w height=h label=label /></div>
                        });
                        view! {
                            <div class="row">
                                {picture}
                                <p class="small quiet">{format!("A sample of the test data, labelled {truth}.")}</p>
                            </div>
                        }
                    })}
                </div>
                {answers}
            </div>
        </section>
        <aside class="settings stack" aria-label="About">
            <p>"The answers are computed on this machine as you draw: one forward pass of each network, timed."</p>
            <p class="small quiet">
                "Your drawing is made 8 × 8 the way the data set was: each pixel counts the ink in a field of 4 × 4."
            </p>
        </aside>
    }
}

/// Asks every network what it sees, again and again until nothing newer has been drawn.
fn ask(
    app: App,
    contenders: Memo<Vec<Made>>,
    sample: RwSignal<Option<Vec<f32>>>,
    told: RwSignal<Vec<(u32, Result<Reading, String>)>>,
    asking: StoredValue<bool>,
) {
    asking.set_value(true);
    leptos::task::spawn_local(async move {
        // All of them end with the stage.
        while let (Some(Some(input)), Some(models)) =
            (sample.try_get_untracked(), contenders.try_get_untracked())
        {
            let ids: Vec<u32> = models.iter().map(|m| m.id).collect();
            let answers = match app.ask(Question::Read(ids.clone(), input.clone()), &models).await {
                Ok(Answer::Readings(readings)) => readings,
                Ok(_) => Vec::new(),
                Err(text) => vec![Err(text); ids.len()],
            };
            // Wiped out in the meantime.
            let Some(Some(now)) = sample.try_get_untracked() else { break };
            told.try_set(ids.iter().copied().zip(answers).collect());
            let same = contenders.try_with_untracked(|m| m.iter().map(|m| m.id).eq(ids.iter().copied()));
            if now == input && same != Some(false) {
                break;
            }
        }
        asking.try_update_value(|asking| *asking = false);
    });
}

//! A form made from a method's parameter list: nothing here knows any method.

use super::unique_id;
use crate::dom::prelude::*;
use espalier_core::params::{Config, ParamKind, ParamSpec, ParamValue};
use wasm_bindgen::JsCast;
use web_sys::HtmlInputElement;

/// Steps of a slider; fine enough for every range and the same for all.
const STEPS: f64 = 1000.0;

/// Where a number stands on its slider, 0 to [`STEPS`].
fn to_slider(kind: ParamKind, value: f64) -> f64 {
    let part = match kind {
        ParamKind::Float { min, max, log: true, .. } if min > 0.0 => (value / min).ln() / (max / min).ln(),
        ParamKind::Float { min, max, .. } => (value - min) / (max - min),
        ParamKind::Int { min, max, .. } => (value - min as f64) / (max - min) as f64,
        _ => 0.0,
    };
    if part.is_finite() { part.clamp(0.0, 1.0) * STEPS } else { 0.0 }
}

/// The value at a place of a slider, rounded to three significant digits.
fn from_slider(kind: ParamKind, place: f64) -> ParamValue {
    let part = (place / STEPS).clamp(0.0, 1.0);
    match kind {
        ParamKind::Int { min, max, .. } => {
            ParamValue::Int((min as f64 + part * (max - min) as f64).round() as i64)
        }
        ParamKind::Float { min, max, log, .. } => {
            let value =
                if log && min > 0.0 { min * (max / min).powf(part) } else { min + part * (max - min) };
            let rounded = format!("{value:.2e}").parse().unwrap_or(value);
            ParamValue::Float(f64::clamp(rounded, min, max))
        }
        _ => ParamValue::Int(0),
    }
}

fn as_number(value: &ParamValue) -> f64 {
    match value {
        ParamValue::Int(v) => *v as f64,
        ParamValue::Float(v) => *v,
        _ => 0.0,
    }
}

/// A value as it stands in its field.
fn as_text(value: &ParamValue) -> String {
    match value {
        ParamValue::Float(v) if *v != 0.0 && v.abs() < 1e-3 => format!("{v:e}"),
        other => other.to_string(),
    }
}

/// The message of an error without the key that the label already says.
fn words(error: espalier_core::Error) -> String {
    match error {
        espalier_core::Error::Config { message, .. } => message,
        other => other.to_string(),
    }
}

/// A form for a list of parameters. Valid input goes into `config` at once; invalid input stays in
/// its field with what is wrong with it, in words.
#[component]
pub fn ParamForm(
    /// The parameters.
    specs: &'static [ParamSpec],
    /// The settings; absent keys have their defaults.
    config: RwSignal<Config>,
    /// Whether the controls can be used; not while a run uses them.
    #[prop(into, default = Signal::stored(true))]
    enabled: Signal<bool>,
) -> View {
    let changed = Memo::new(move |_| {
        config.with(|c| specs.iter().filter(|s| c.0.get(s.key).is_some_and(|v| *v != s.default())).count())
    });
    let reset_all = move |_| {
        config.update(|c| {
            specs.iter().for_each(|s| {
                c.0.remove(s.key);
            })
        });
    };
    view! {
        <form class="param-form" on:submit=|e| e.prevent_default()>
            <fieldset class="param-set" disabled=move || !enabled.get()>
                {specs.iter().map(|spec| view! { <Control spec config /> }).collect_view()}
            </fieldset>
            <Show when=move || changed.get().gt(&0)>
                <button type="button" class="reset-all" on:click=reset_all disabled=move || !enabled.get()>
                    {move || match changed.get() {
                        1 => "Reset 1 changed setting".to_owned(),
                        n => format!("Reset {n} changed settings"),
                    }}
                </button>
            </Show>
        </form>
    }
}

/// One parameter: label, control, unit, help, reset and error.
#[component]
fn Control(spec: &'static ParamSpec, config: RwSignal<Config>) -> View {
    let id = unique_id(spec.key);
    let (help_id, error_id) = (format!("{id}-help"), format!("{id}-error"));
    let value =
        Memo::new(move |_| config.with(|c| c.0.get(spec.key).cloned().unwrap_or_else(|| spec.default())));
    let differs = Memo::new(move |_| value.get() != spec.default());
    let error = RwSignal::new(None::<String>);
    let set = move |new: ParamValue| {
        error.set(None);
        if value.get_untracked() != new {
            config.update(|c| {
                c.0.insert(spec.key.into(), new);
            });
        }
    };
    let enter = move |text: String| match spec.parse(&text) {
        Ok(new) => set(new),
        Err(e) => error.set(Some(words(e))),
    };
    let reset = move |_| {
        error.set(None);
        config.update(|c| {
            c.0.remove(spec.key);
        });
    };
    let described = format!("{help_id} {error_id}");
    let invalid = move || error.with(Option::is_some).then_some("true");

    let control = match spec.kind {
        ParamKind::Int { .. } | ParamKind::Float { .. } => {
            let label = spec.label;
            let field = NodeRef::new();
            // The field follows the setting, but never while an error waits in it.
            Effect::new(move |_| {
                let text = value.with(as_text);
                if let Some(field) = field.get().and_then(|f| f.dyn_into::<HtmlInputElement>().ok())
                    && error.with(Option::is_none)
                    && field.value() != text
                    && spec.parse(&field.value()).as_ref() != Ok(&value.get_untracked())
                {
                    field.set_value(&text);
                }
            });
            let mode = if matches!(spec.kind, ParamKind::Int { .. }) { "numeric" } else { "decimal" };
            view! {
                <input
                    class="param-slider"
                    type="range"
                    min="0"
                    max=STEPS
                    step=match spec.kind {
                        ParamKind::Int { min, max, .. } if max - min <= 1000 && max > min => {
                            (STEPS / (max - min) as f64).to_string()
                        }
                        _ => "1".to_owned(),
                    }
                    aria-label=format!("{label}, slider")
                    aria-valuetext=move || format!("{} {}", value.with(as_text), spec.unit)
                    prop:value=move || to_slider(spec.kind, value.with(as_number))
                    on:input=move |e| {
                        if let Ok(place) = event_target_value(&e).parse() {
                            set(from_slider(spec.kind, place));
                        }
                    }
                />
                <span class="param-field">
                    <input
                        id=id.clone()
                        node_ref=field
                        type="text"
                        inputmode=mode
                        autocomplete="off"
                        value=value.with_untracked(as_text)
                        aria-describedby=described.clone()
                        aria-invalid=invalid
                        on:change=move |e| enter(event_target_value(&e))
                    />
                    <span class="unit">{spec.unit}</span>
                </span>
            }
        }
        ParamKind::Bool { .. } => view! {
            <input
                id=id.clone()
                class="switch"
                type="checkbox"
                role="switch"
                aria-describedby=described.clone()
                prop:checked=move || value.get() == ParamValue::Bool(true)
                on:change=move |e| set(ParamValue::Bool(event_target_checked(&e)))
            />
        },
        ParamKind::Words { .. } => view! {
            <input
                id=id.clone()
                type="text"
                autocomplete="off"
                prop:value=move || value.get().to_string()
                aria-describedby=described.clone()
                aria-invalid=invalid
                on:change=move |e| enter(event_target_value(&e))
            />
        },
        ParamKind::Choice { options, .. } => {
            let choices = options.iter().map(|(key, label)| {
                view! { <option value=*key selected=move || value.with(|v| v.to_string() == *key)>{*label}</option> }
            });
            view! {
                <select
                    id=id.clone()
                    aria-describedby=described.clone()
                    prop:value=move || value.get().to_string()
                    on:change=move |e| enter(event_target_value(&e))
                >
                    {choices.collect_view()}
                </select>
            }
        }
    };
    let shape = match spec.kind {
        ParamKind::Bool { .. } => "param param-switch",
        ParamKind::Choice { .. } | ParamKind::Words { .. } => "param param-choice",
        _ => "param param-number",
    };
    view! {
        <div class=shape class:differs=move || differs.get()>
            <label class="param-label" for=id>{spec.label}</label>
            <Show when=move || differs.get()>
                <button
                    type="button"
                    class="param-reset"
                    title=format!("Back to the default, {}", as_text(&spec.default()))
                    aria-label=format!("Reset {} to its default, {}", spec.label, as_text(&spec.default()))
                    on:click=reset
                >
                    "reset"
                </button>
            </Show>
            <div class="param-control">{control}</div>
            <p class="param-help" id=help_id>{spec.help}</p>
            <p class="param-error" id=error_id role="alert">{move || error.get()}</p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sliders_reach_both_ends_and_come_back() {
        let kinds = [
            ParamKind::Int { min: 2, max: 64, default: 8 },
            ParamKind::Float { min: 1e-5, max: 1.0, default: 1e-3, log: true },
            ParamKind::Float { min: 0.0, max: 0.9, default: 0.5, log: false },
        ];
        for kind in kinds {
            let ends = [from_slider(kind, 0.0), from_slider(kind, STEPS)];
            for (end, place) in ends.iter().zip([0.0, STEPS]) {
                assert!((to_slider(kind, as_number(end)) - place).abs() < 1e-6, "{kind:?}");
            }
            let middle = from_slider(kind, 400.0);
            assert!((to_slider(kind, as_number(&middle)) - 400.0).abs() < 10.0, "{kind:?}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_key() {
        const SPEC: ParamSpec = ParamSpec::int("n", "Candidates", 1, 9, 3, "How many.");
        let error = SPEC.parse("ten").unwrap_err();
        assert_eq!(words(error), "“ten” is not a whole number between 1 and 9");
    }
}

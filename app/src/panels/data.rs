//! Data: what the network learns from, by class and by split.

use super::open::Drop;
use crate::components::{ImageGrid, Picture, format};
use crate::dom::prelude::*;
use crate::state::App;
use espalier_core::data::{Dataset, Split};
use std::sync::Arc;

/// The stage.
#[component]
pub fn Data() -> View {
    let app = App::get();
    view! {
        <section class="picture" aria-label="Data">
            <h1>"What the network learns from"</h1>
            {move || app.dataset.get().map_or_else(
                || view! { <p class="quiet">"No data is loaded yet."</p> },
                |data| view! { <Look data=data /> },
            )}
        </section>
        <aside class="settings stack" aria-label="Settings">
            <p>
                "The shipped digits are 1797 scans of 8 × 8 pixels (Alpaydin and Kaynak, UCI Machine Learning Repository, CC BY 4.0)."
            </p>
            <Drop />
            <p class="small quiet">"Your data stays here: nothing leaves this machine."</p>
        </aside>
    }
}

#[component]
fn Look(data: Arc<Dataset>) -> View {
    let splits = [("training", Split::Train), ("validation", Split::Validation), ("test", Split::Test)];
    let figures = splits.map(|(name, split)| {
        let n = data.split(split).len() as u64;
        view! {
            <div class="figure">
                <dt>{name}</dt>
                <dd>{format::count(n)}</dd>
            </div>
        }
    });
    let image = match data.shape.as_slice() {
        [.., h, w] => Some((*h, *w)),
        _ => None,
    };
    let classes = data.classes.iter().enumerate().map(|(class, name)| {
        let of: Vec<u32> =
            (0..data.labels.len() as u32).filter(|i| data.labels[*i as usize] as usize == class).collect();
        let pictures = image.map(|(h, w)| {
            let pictures: Vec<Picture> = of
                .iter()
                .take(14)
                .map(|i| Picture { caption: String::new(), values: data.sample(*i)[..h * w].to_vec() })
                .collect();
            view! { <ImageGrid pictures=pictures width=w height=h /> }
        });
        view! {
            <div class="class">
                <b>{name.clone()}</b>
                {pictures}
                <span class="quiet small">{of.len()}</span>
            </div>
        }
    });
    let classes = classes.collect_view();
    view! {
        <dl class="figures">
            {figures.into_iter().collect_view()}
            <div class="figure">
                <dt>"one sample"</dt>
                <dd class="mono">{format::shape(&data.shape)}</dd>
            </div>
        </dl>
        <div class="samples">{classes}</div>
    }
}

//! Axes: from values to pixels and back, with ticks at round numbers.

use super::order_by;

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spread {
    /// Equal steps.
    #[default]
    Linear,
    /// Equal factors; for positive values only.
    Log,
}

/// A mapping from a domain of values to a range of pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    spread: Spread,
    domain: (f64, f64),
    range: (f64, f64),
}

impl Scale {
    /// A scale over exactly this domain. An empty or impossible domain is widened, so that every
    /// scale can be drawn.
    pub fn new(spread: Spread, domain: (f64, f64), range: (f64, f64)) -> Self {
        let (mut low, mut high) = domain;
        if !low.is_finite() || !high.is_finite() || low > high {
            (low, high) = if spread == Spread::Log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        if spread == Spread::Log {
            if high <= 0.0 {
                (low, high) = (1.0, 10.0);
            }
            if low <= 0.0 {
                low = high / 1000.0;
            }
            if high / low < 1.000_001 {
                (low, high) = (low / 2.0, high * 2.0);
            }
        } else if high - low <= low.abs().max(high.abs()) * 1e-12 {
            let pad = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - pad, high + pad);
        }
        Self { spread, domain: (low, high), range }
    }

    /// A scale whose domain begins and ends at a tick.
    pub fn nice(spread: Spread, domain: (f64, f64), range: (f64, f64), ticks: usize) -> Self {
        let mut scale = Self::new(spread, domain, range);
        let (low, high) = scale.domain;
        match spread {
            Spread::Linear => {
                let step = step(high - low, ticks);
                scale.domain = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
            }
            Spread::Log => scale.domain = (snap(low, false), snap(high, true)),
        }
        scale
    }

    /// The domain after widening.
    pub fn domain(&self) -> (f64, f64) {
        self.domain
    }

    /// The pixel of a value; values below zero lie at the start of a logarithmic axis.
    pub fn map(&self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let part = match self.spread {
            Spread::Linear => (value - low) / (high - low),
            Spread::Log if value <= 0.0 => 0.0,
            Spread::Log => (value / low).ln() / (high / low).ln(),
        };
        self.range.0 + part * (self.range.1 - self.range.0)
    }

    /// The value at a pixel.
    pub fn invert(&self, pixel: f64) -> f64 {
        let (low, high) = self.domain;
        let part = (pixel - self.range.0) / (self.range.1 - self.range.0);
        match self.spread {
            Spread::Linear => low + part * (high - low),
            Spread::Log => low * (high / low).powf(part),
        }
    }

    /// About `count` round values inside the domain, ascending.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let (low, high) = self.domain;
        match self.spread {
            Spread::Linear => {
                let step = step(high - low, count);
                let first = (low / step - 1e-9).ceil() as i64;
                let last = (high / step + 1e-9).floor() as i64;
                // Multiplying, not adding up, keeps 0.3 from becoming 0.30000000000000004.
                (first..=last).take(100).map(|i| clean(i as f64 * step)).collect()
            }
            Spread::Log => {
                let decades = (high / low).log10();
                let mantissas: &[f64] = if decades <= 1.2 {
                    &[1.0, 2.0, 3.0, 5.0, 7.0]
                } else if decades * 3.0 <= count as f64 {
                    &[1.0, 2.0, 5.0]
                } else if decades * 2.0 <= count as f64 {
                    &[1.0, 3.0]
                } else {
                    &[1.0]
                };
                let first = low.log10().floor() as i32;
                let last = high.log10().ceil() as i32;
                let all = (first..=last)
                    .flat_map(|e| mantissas.iter().map(move |m| clean(m * 10f64.powi(e))))
                    .filter(|v| (low * 0.999_999..=high * 1.000_001).contains(v));
                all.collect()
            }
        }
    }
}

/// The round step (1, 2 or 5 times a power of ten) that cuts a span into about `count` parts.
fn step(span: f64, count: usize) -> f64 {
    let rough = span / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let fraction = rough / power;
    let nice = if fraction < 1.5 {
        1.0
    } else if fraction < 3.5 {
        2.0
    } else if fraction < 7.5 {
        5.0
    } else {
        10.0
    };
    nice * power
}

/// The next 1, 2 or 5 times a power of ten, downwards or upwards.
fn snap(value: f64, up: bool) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let fraction = value / power;
    let mut stops = [1.0, 2.0, 5.0, 10.0];
    let stop = if up {
        stops.into_iter().find(|s| *s >= fraction - 1e-9)
    } else {
        stops.reverse();
        stops.into_iter().find(|s| *s <= fraction + 1e-9)
    };
    clean(stop.unwrap_or(1.0) * power)
}

/// Rounds away what binary fractions add to a decimal.
fn clean(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

/// Smallest and largest of the finite values; `None` where there are none.
pub fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|v| v.is_finite()).fold(None, |found, v| match found {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}

/// Moves labels apart: given wanted centres (any order) and a height, gives centres at least that
/// far apart, inside `low..=high` where they fit, each as near to its wish as that allows.
pub fn spread_labels(wanted: &[f64], height: f64, low: f64, high: f64) -> Vec<f64> {
    let order = order_by(wanted.len(), &|a, b| wanted[a].total_cmp(&wanted[b]));
    let sorted: Vec<f64> = order.iter().map(|i| wanted[*i]).collect();
    let sizes = vec![height; sorted.len()];
    let mut placed = separate(&sorted, &sizes, &vec![1.0; sorted.len()]);
    // Pushed in from the ends, each label as little as its neighbours demand.
    let mut floor = low;
    for p in &mut placed {
        *p = p.max(floor);
        floor = *p + height;
    }
    let mut ceiling = high;
    for p in placed.iter_mut().rev() {
        *p = p.min(ceiling);
        ceiling = *p - height;
    }
    let mut out = vec![0.0; wanted.len()];
    order.iter().zip(placed).for_each(|(i, p)| out[*i] = p);
    out
}

/// Centres in the given order that do not overlap and are, by weighted least squares, nearest to
/// the wanted ones (pool adjacent violators; Barlow et al., 1972).
pub fn separate(wanted: &[f64], sizes: &[f64], weights: &[f64]) -> Vec<f64> {
    // Offsets of touching neighbours turn "at least so far apart" into "not decreasing".
    let mut offsets = vec![0.0; wanted.len()];
    for i in 1..wanted.len() {
        offsets[i] = offsets[i - 1] + (sizes[i - 1] + sizes[i]) / 2.0;
    }
    // Blocks of (mean, weight, length).
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(wanted.len());
    for i in 0..wanted.len() {
        let mut block = (wanted[i] - offsets[i], weights[i].max(1e-9), 1);
        while let Some(last) = blocks.last().copied().filter(|b| b.0 > block.0) {
            blocks.pop();
            let weight = last.1 + block.1;
            block = ((last.0 * last.1 + block.0 * block.1) / weight, weight, last.2 + block.2);
        }
        blocks.push(block);
    }
    let means = blocks.iter().flat_map(|(mean, _, n)| std::iter::repeat_n(*mean, *n));
    means.zip(&offsets).map(|(mean, offset)| mean + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round() {
        let scale = Scale::nice(Spread::Linear, (0.912, 0.987), (0.0, 100.0), 4);
        assert_eq!(scale.domain(), (0.9, 1.0));
        assert_eq!(scale.ticks(5), [0.9, 0.92, 0.94, 0.96, 0.98, 1.0]);
        assert_eq!(scale.map(0.9), 0.0);
        assert!((scale.map(1.0) - 100.0).abs() < 1e-9);
        assert!((scale.invert(50.0) - 0.95).abs() < 1e-9);
    }

    #[test]
    fn log_ticks_are_round() {
        let scale = Scale::nice(Spread::Log, (300.0, 45_000.0), (0.0, 300.0), 6);
        assert_eq!(scale.domain(), (200.0, 50_000.0));
        let ticks = scale.ticks(6);
        assert!(ticks.contains(&1000.0) && ticks.contains(&10_000.0), "{ticks:?}");
        assert!((scale.invert(scale.map(1234.0)) - 1234.0).abs() < 1e-6);
        assert_eq!(scale.map(-1.0), 0.0);
    }

    #[test]
    fn impossible_domains_can_be_drawn() {
        for domain in [(f64::NAN, 1.0), (0.0, 0.0), (5.0, 5.0), (1.0, -1.0), (f64::NEG_INFINITY, 0.0)] {
            for spread in [Spread::Linear, Spread::Log] {
                let scale = Scale::nice(spread, domain, (0.0, 10.0), 5);
                assert!(scale.map(0.5).is_finite(), "{domain:?} {spread:?}");
                assert!(scale.ticks(5).len() <= 100);
            }
        }
    }

    #[test]
    fn labels_part_and_keep_their_order() {
        let placed = spread_labels(&[50.0, 10.0, 11.0, 12.0], 10.0, 5.0, 95.0);
        assert_eq!(placed[0], 50.0);
        assert!(placed[2] - placed[1] >= 10.0 - 1e-9 && placed[3] - placed[2] >= 10.0 - 1e-9, "{placed:?}");
        assert!(placed[1] >= 5.0);
        let crowded = spread_labels(&[99.0, 98.0, 97.0], 10.0, 0.0, 100.0);
        assert!(crowded.iter().all(|p| (0.0..=100.0).contains(p)), "{crowded:?}");
    }
}

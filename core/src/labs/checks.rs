//! How claims are checked, as in the header of the list of systems: over seeds, in pairs.

use crate::protocol::{Check, Event};

/// A paired comparison over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// Mean of A − B.
    pub difference: f64,
    /// Standard error of that mean; 0 for a single seed.
    pub error: f64,
    /// Seeds on which the relation holds by itself.
    pub held: u32,
    /// Seeds.
    pub seeds: u32,
    /// Whether the check holds over all of them; `None` where there are none.
    pub holds: Option<bool>,
}

impl Paired {
    /// As part of a verdict.
    pub fn check(&self, what: impl Into<String>) -> Check {
        Check { what: what.into(), holds: self.holds, held: self.held, seeds: self.seeds }
    }

    /// Difference and standard error in points (hundredths), where the values were parts of one:
    /// "+0.5 ± 0.3 points".
    pub fn points(&self) -> String {
        let error = if self.seeds > 1 { format!(" ± {:.1}", 100.0 * self.error) } else { String::new() };
        format!("{:+.1}{error} points", 100.0 * self.difference)
    }
}

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn paired(a: &[f64], b: &[f64], alone: fn(f64) -> bool) -> Paired {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let (n, difference) = (differences.len(), mean(&differences));
    let variance = differences.iter().map(|d| (d - difference).powi(2)).sum::<f64>();
    let error = if n > 1 { (variance / (n - 1) as f64 / n as f64).sqrt() } else { 0.0 };
    let held = differences.iter().filter(|d| alone(**d)).count() as u32;
    Paired { difference, error, held, seeds: n as u32, holds: None }
}

/// "A > B": the paired mean difference is positive, with that sign on at least four seeds of five.
pub fn better(a: &[f64], b: &[f64]) -> Paired {
    let p = paired(a, b, |d| d > 0.0);
    let holds = (p.seeds > 0).then(|| p.difference > 0.0 && 5 * p.held >= 4 * p.seeds);
    Paired { holds, ..p }
}

/// "A >= B": the paired mean difference is not below minus one standard error.
pub fn not_worse(a: &[f64], b: &[f64]) -> Paired {
    let p = paired(a, b, |d| d >= 0.0);
    let holds = (p.seeds > 0).then_some(p.difference >= -p.error);
    Paired { holds, ..p }
}

/// The checks of a claim as they are made, each in one line; then the verdict. Values come by seed:
/// `a[i]` and `b[i]` were measured with the same one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claim(Vec<Check>);

impl Claim {
    /// "A > B", see [`better`].
    pub fn better(&mut self, what: impl Into<String>, a: &[f64], b: &[f64]) -> Paired {
        let paired = better(a, b);
        self.0.push(paired.check(what));
        paired
    }

    /// "A >= B", see [`not_worse`].
    pub fn not_worse(&mut self, what: impl Into<String>, a: &[f64], b: &[f64]) -> Paired {
        let paired = not_worse(a, b);
        self.0.push(paired.check(what));
        paired
    }

    /// A limit with its tolerance in it: the mean is at most `limit`.
    pub fn at_most(&mut self, what: impl Into<String>, values: &[f64], limit: f64) {
        let held = values.iter().filter(|v| **v <= limit).count() as u32;
        let holds = (!values.is_empty()).then(|| mean(values) <= limit);
        self.0.push(Check { what: what.into(), holds, held, seeds: values.len() as u32 });
    }

    /// "A within so much of B": the paired mean difference is at most `tolerance`, whichever way.
    pub fn within(&mut self, what: impl Into<String>, a: &[f64], b: &[f64], tolerance: f64) -> Paired {
        let p = paired(a, b, |_| false);
        let held = a.iter().zip(b).filter(|(a, b)| (*a - *b).abs() <= tolerance).count() as u32;
        let holds = (p.seeds > 0).then_some(p.difference.abs() <= tolerance);
        let p = Paired { held, holds, ..p };
        self.0.push(p.check(what));
        p
    }

    /// An identity, or whatever must be so without exception: it holds on every seed or not at all.
    pub fn always(&mut self, what: impl Into<String>, by_seed: impl IntoIterator<Item = bool>) {
        let by_seed: Vec<bool> = by_seed.into_iter().collect();
        let held = by_seed.iter().filter(|h| **h).count();
        let holds = (!by_seed.is_empty()).then_some(held == by_seed.len());
        self.0.push(Check { what: what.into(), holds, held: held as u32, seeds: by_seed.len() as u32 });
    }

    /// Whether all checks hold; undecided where one is and none fails.
    pub fn holds(&self) -> Option<bool> {
        if self.0.iter().any(|c| c.holds == Some(false)) {
            return Some(false);
        }
        (!self.0.is_empty() && self.0.iter().all(|c| c.holds == Some(true))).then_some(true)
    }

    /// The verdict, with the measured numbers in its sentence.
    pub fn verdict(self, sentence: String, breaks: &str) -> Event {
        Event::Verdict { sentence, holds: self.holds(), breaks: breaks.into(), checks: self.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_needs_the_mean_and_four_of_five() {
        let zero = [0.0; 5];
        assert_eq!(better(&[1.0, 1.0, 1.0, 1.0, -1.0], &zero).holds, Some(true));
        assert_eq!(better(&[9.0, 9.0, 9.0, -1.0, -1.0], &zero).holds, Some(false), "three of five");
        assert_eq!(better(&[1.0, 1.0, 1.0, 1.0, -9.0], &zero).holds, Some(false), "the mean");
        assert_eq!(better(&zero, &zero).holds, Some(false));
        assert_eq!(better(&[], &[]).holds, None);
    }

    #[test]
    fn not_worse_allows_one_standard_error() {
        let p = not_worse(&[-1.0, 1.0, -1.0, 0.5], &[0.0; 4]);
        assert!(p.difference < 0.0 && p.difference > -p.error, "{p:?}");
        assert_eq!((p.holds, p.held), (Some(true), 2));
        assert_eq!(not_worse(&[-1.0, -1.1, -0.9], &[0.0; 3]).holds, Some(false));
    }

    #[test]
    fn a_claim_holds_when_all_its_checks_do() {
        let mut claim = Claim::default();
        assert_eq!(claim.holds(), None, "nothing was checked");
        claim.better("more", &[2.0, 3.0], &[1.0, 1.0]);
        claim.at_most("a limit on the mean", &[0.5, 1.4], 1.0);
        claim.always("an identity", [true, true]);
        claim.within("on the mean, whichever way", &[0.0, 3.0], &[1.5, 1.0], 1.0);
        assert_eq!(claim.holds(), Some(true));
        let held: Vec<u32> = claim.0.iter().map(|c| c.held).collect();
        assert_eq!(held, [2, 1, 2, 0]);
        assert_eq!(Claim::default().within("", &[0.0], &[1.1], 1.0).holds, Some(false));
        assert_eq!(Claim::default().within("", &[1.1], &[0.0], 1.0).holds, Some(false));
        let mut undecided = claim.clone();
        undecided.better("without seeds", &[], &[]);
        assert_eq!(undecided.holds(), None);
        undecided.always("once not", [true, false]);
        assert_eq!(undecided.holds(), Some(false));
        claim.at_most("over the limit", &[0.5, 1.6], 1.0);
        assert_eq!(claim.holds(), Some(false));
        let Event::Verdict { holds, checks, .. } = claim.verdict("1 of 2.".into(), "") else { panic!() };
        assert_eq!((holds, checks.len()), (Some(false), 5));
    }
}

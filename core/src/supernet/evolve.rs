//! Evolution over the subnets of a trained supernet, under a limit: Guo et al., "Single Path One-Shot
//! Neural Architecture Search with Uniform Sampling", ECCV 2020, arXiv:1904.00420, as used by Liao,
//! Karaman and Sze, 2021, arXiv:2109.00642. The first generation is drawn; then half of the children are
//! mutations of one of the best so far, half crossovers of two. No network beyond the limit, and none
//! twice, is judged; weights are inherited.

use super::{JudgeTask, Judged, Spec, Store, Supernet};
use crate::order::Order;
use crate::rng::{self, Rng};
use crate::run::RunCtx;
use crate::space::{self, Genome};
use crate::{Error, Result};

/// Draws for every child before a generation is left as small as it is.
const DRAWS: usize = 100;
/// Subnets that one job judges.
const TOGETHER: usize = 12;

/// An evolution.
pub struct Evolution<'a> {
    /// Which supernet.
    pub net: &'a Spec,
    /// Its trained weights.
    pub store: &'a Store,
    /// Name of the data set.
    pub data: &'a str,
    /// Subnets of a generation.
    pub population: usize,
    /// Generations after the first.
    pub generations: usize,
    /// The best so far from which children come.
    pub parents: usize,
    /// How often a mutation redraws a gene, 0 to 1.
    pub mutation: f64,
    /// The seed.
    pub seed: u64,
}

impl Evolution<'_> {
    /// Everything that was judged, the best first: the lowest validation loss.
    ///
    /// # Errors
    /// No drawn network is within the limit; the supernet does not fit the data or its weights.
    pub async fn run(
        &self,
        ctx: &RunCtx,
        net: &Supernet,
        within: &dyn Fn(&Genome) -> Result<bool>,
    ) -> Result<Vec<(Judged, Genome)>> {
        self.run_telling(ctx, net, within, &|_, _| {}).await
    }

    /// As [`Self::run`]; `told` hears after every generation of all that was judged so far, the best first.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_telling(
        &self,
        ctx: &RunCtx,
        net: &Supernet,
        within: &dyn Fn(&Genome) -> Result<bool>,
        told: &dyn Fn(usize, &[(Judged, Genome)]),
    ) -> Result<Vec<(Judged, Genome)>> {
        let mut rng = Rng::stream(self.seed, "evolution");
        let mut judged: Vec<(Judged, Genome)> = Vec::new();
        for generation in 0..=self.generations {
            let children = self.children(net, &judged, within, &mut rng)?;
            if judged.is_empty() && children.is_empty() {
                return Err(Error::config("limit", "no network of this space is within the limit"));
            }
            let tickets: Vec<_> = children
                .chunks(TOGETHER)
                .map(|part| {
                    ctx.spawn(&JudgeTask {
                        label: format!("generation {generation}"),
                        net: self.net.clone(),
                        store: self.store.clone(),
                        genomes: part.to_vec(),
                        data: self.data.to_owned(),
                        recalibrate: 4,
                        seed: rng::derive(self.seed, "judge"),
                        test: false,
                    })
                })
                .collect();
            for (ticket, part) in tickets.into_iter().zip(children.chunks(TOGETHER)) {
                judged.extend(ticket.await?.into_iter().zip(part.iter().cloned()));
            }
            judged.order_by(|a, b| a.0.val_loss.total_cmp(&b.0.val_loss));
            told(generation, &judged);
        }
        Ok(judged)
    }

    fn children(
        &self,
        net: &Supernet,
        judged: &[(Judged, Genome)],
        within: &dyn Fn(&Genome) -> Result<bool>,
        rng: &mut Rng,
    ) -> Result<Vec<Genome>> {
        let parents = &judged[..self.parents.min(judged.len())];
        let mut children: Vec<Genome> = Vec::new();
        for _ in 0..DRAWS * self.population {
            if children.len() == self.population {
                break;
            }
            let crossed = 2 * children.len() >= self.population;
            let child = match (rng.choose(parents), rng.choose(parents)) {
                (Some(a), Some(b)) if crossed => space::crossover(&a.1, &b.1, rng),
                (Some(a), _) => {
                    let mut child = a.1.clone();
                    for (choice, gene) in child.0.iter_mut().zip(net.genes()) {
                        if rng.chance(self.mutation) {
                            *choice = rng.below(gene.options.len()) as u8;
                        }
                    }
                    child
                }
                _ => net.draw(rng)?,
            };
            let known = children.contains(&child) || judged.iter().any(|j| j.1 == child);
            if !known && net.subnet(&child).is_ok() && within(&child)? {
                children.push(child);
            }
        }
        Ok(children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Config;

    #[test]
    fn children_are_new_within_the_limit_and_of_the_best() {
        let spec = Spec { space: "vit".into(), config: Config::default() };
        let net = Supernet::new(&spec, &[1, 8, 8], 10).unwrap();
        let store = Store::default();
        let evolution = Evolution {
            net: &spec,
            store: &store,
            data: "digits",
            population: 8,
            generations: 1,
            parents: 2,
            mutation: 0.0,
            seed: 1,
        };
        let small = |g: &Genome| Ok(g.0.iter().map(|c| u32::from(*c)).sum::<u32>() <= 6);
        let mut rng = Rng::new(1);
        let first = evolution.children(&net, &[], &small, &mut rng).unwrap();
        assert_eq!(first.len(), 8);
        assert!(first.iter().all(|g| small(g).unwrap()));
        let judged: Vec<(Judged, Genome)> = first.iter().map(|g| (Judged::default(), g.clone())).collect();
        // Without mutation only crossovers of the two best can be new.
        let next = evolution.children(&net, &judged, &small, &mut rng).unwrap();
        assert!(next.is_empty(), "mutations that change nothing are known already");
        let evolution = Evolution { mutation: 0.5, ..evolution };
        let next = evolution.children(&net, &judged, &small, &mut rng).unwrap();
        assert!(next.len() == 8 && next.iter().all(|g| !first.contains(g) && small(g).unwrap()));
        let crossed = |g: &Genome| (0..8).all(|i| first[..2].iter().any(|p| p.0[i] == g.0[i]));
        assert!(next[4..].iter().all(crossed), "{next:?} of {first:?}");
        assert!(evolution.children(&net, &[], &|_| Ok(false), &mut rng).unwrap().is_empty());
    }
}

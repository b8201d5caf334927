//! Sorting in little code. The standard library's sorts are made anew for every type and comparison, 5 to 8 KB each:
//! in an engine of two dozen kinds of lists that was 265 KB of Wasm. Here the sorting itself is made once, over
//! indices; what is made for each type only moves the items.

use std::cmp::Ordering;

/// The indices below `len` in an order; equal ones stay in theirs. A merge sort.
pub fn indices(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    let mut next = Vec::with_capacity(len);
    let mut sorted = 1;
    while sorted < len {
        next.clear();
        for pair in order.chunks(2 * sorted) {
            let (mut a, mut b) = pair.split_at(sorted.min(pair.len()));
            while let (Some(x), Some(y)) = (a.first(), b.first()) {
                let from = if compare(*y, *x).is_lt() { &mut b } else { &mut a };
                next.push(from[0]);
                *from = &from[1..];
            }
            next.extend_from_slice(a);
            next.extend_from_slice(b);
        }
        std::mem::swap(&mut order, &mut next);
        sorted *= 2;
    }
    order
}

/// Sorting of slices, in place; equal items stay in their order.
pub trait Order<T> {
    /// By a comparison.
    fn order_by(&mut self, compare: impl Fn(&T, &T) -> Ordering);

    /// By a key, ascending.
    fn order_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K);

    /// Ascending.
    fn order(&mut self)
    where
        T: Ord;
}

impl<T> Order<T> for [T] {
    fn order_by(&mut self, compare: impl Fn(&T, &T) -> Ordering) {
        let order = indices(self.len(), &|a, b| compare(&self[a], &self[b]));
        arrange(self, order);
    }

    fn order_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.order_by(|a, b| key(a).cmp(&key(b)));
    }

    fn order(&mut self)
    where
        T: Ord,
    {
        self.order_by(T::cmp);
    }
}

/// Moves `items[order[i]]` to `i`, cycle by cycle.
fn arrange<T>(items: &mut [T], mut order: Vec<usize>) {
    for start in 0..order.len() {
        let mut at = start;
        while order[at] != start {
            let next = order[at];
            items.swap(at, next);
            order[at] = at;
            at = next;
        }
        order[at] = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_is_the_standard_library_s_stable_sort() {
        let mut rng = Rng::new(9);
        for len in (0..40).chain([257, 1000]) {
            // Few keys, so that many are equal; the second part tells them apart.
            let items: Vec<(usize, usize)> = (0..len).map(|i| (rng.below(7), i)).collect();
            let (mut ours, mut theirs) = (items.clone(), items);
            ours.order_by_key(|i| i.0);
            theirs.sort_by_key(|i| i.0);
            assert_eq!(ours, theirs);
            ours.order_by(|a, b| b.cmp(a));
            theirs.sort_by(|a, b| b.cmp(a));
            assert_eq!(ours, theirs);
            ours.order();
            assert!(ours.is_sorted());
        }
    }
}

//! Counts of measured values in fixed classes.

/// How many values fell under each of `N` fixed upper bounds, with their number and sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram<const N: usize> {
    bounds: &'static [f64; N],
    counts: [u64; N],
    count: u64,
    sum: f64,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram; `bounds` are inclusive upper bounds in rising order.
    #[must_use]
    pub const fn new(bounds: &'static [f64; N]) -> Self {
        Self { bounds, counts: [0; N], count: 0, sum: 0.0 }
    }

    /// Counts one value; values above the last bound count in the total only, NaN not at all.
    pub fn observe(&mut self, value: f64) {
        self.observe_many(value, 1);
    }

    /// Counts `times` equal values.
    pub fn observe_many(&mut self, value: f64, times: u64) {
        if value.is_nan() {
            return;
        }
        let class = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(class) {
            *count += times;
        }
        self.count += times;
        // Sums are for averages; beyond 2^52 equal values nobody asks for more.
        #[allow(clippy::cast_precision_loss)]
        let times = times as f64;
        self.sum += value * times;
    }

    /// Adds values that were counted elsewhere in the same classes, the last count being of those above all bounds.
    pub fn add_counts(&mut self, counts: &[u64], sum: u64) {
        for (mine, theirs) in self.counts.iter_mut().zip(counts) {
            *mine += theirs;
        }
        self.count += counts.iter().sum::<u64>();
        #[allow(clippy::cast_precision_loss)] // as above
        let sum = sum as f64;
        self.sum += sum;
    }

    /// Adds the values of another histogram with the same bounds.
    pub fn merge(&mut self, other: &Self) {
        debug_assert!(std::ptr::eq(self.bounds, other.bounds), "histograms of different things were merged");
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
    }

    /// Each bound with the number of values at or below it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut total = 0;
        self.bounds.iter().zip(self.counts).map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BOUNDS: [f64; 3] = [1.0, 2.0, 5.0];

    #[test]
    fn bounds_are_inclusive_with_an_open_end() {
        let mut histogram = Histogram::new(&BOUNDS);
        for value in [0.0, 1.0, 1.5, 5.0, 9.0, f64::NAN] {
            histogram.observe(value);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(1.0, 2), (2.0, 3), (5.0, 4)]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum() - 16.5).abs() < 1e-9);
    }

    #[test]
    fn merging_adds_up() {
        let mut one = Histogram::new(&BOUNDS);
        let mut two = Histogram::new(&BOUNDS);
        one.observe(0.5);
        two.observe(0.5);
        two.observe(7.0);
        one.merge(&two);
        assert_eq!(one.cumulative().last(), Some((5.0, 2)));
        assert_eq!(one.count(), 3);
    }
}

//! Random numbers from a seed that a failing test prints.

/// SplitMix64: small, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

#[allow(dead_code, reason = "not every test needs all of it")]
impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed to use: `BOCADILLO_SEED`, or one of the clock's.
    pub fn seed() -> u64 {
        let now = || {
            std::time::UNIX_EPOCH
                .elapsed()
                .expect("after 1970")
                .as_nanos() as u64
        };
        std::env::var("BOCADILLO_SEED")
            .map_or_else(|_| now(), |seed| seed.parse().expect("a number"))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` up to and including `high`.
    pub fn range(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.next() % n == 0
    }

    /// Mostly small, seldom large, up to `high`.
    pub fn size(&mut self, high: usize) -> usize {
        let bits = self.range(0, high.ilog2() as usize + 1);
        self.range(0, (1 << bits).min(high))
    }

    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

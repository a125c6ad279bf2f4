//! Sets of roles, as bits: a rule that grants thousands of roles costs no more than one that grants a few.

/// Some of the roles of a catalog, by their position in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoleSet(Box<[u64]>);

impl RoleSet {
    /// None of `count` roles.
    pub(super) fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into_boxed_slice())
    }

    /// All of `count` roles.
    pub(super) fn all(count: usize) -> Self {
        let mut set = Self::none(count);
        for role in 0..count {
            set.insert(role);
        }
        set
    }

    pub(super) fn insert(&mut self, role: usize) {
        self.0[role / 64] |= 1 << (role % 64);
    }

    pub(super) fn contains(&self, role: usize) -> bool {
        self.0.get(role / 64).is_some_and(|word| word & (1 << (role % 64)) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    pub(super) fn keep_only(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
    }

    /// Adds all of `other` and calls `each` with those that were not there before, in order.
    pub(super) fn add_new(&mut self, other: &Self, mut each: impl FnMut(usize)) {
        for (at, (word, other)) in self.0.iter_mut().zip(&other.0).enumerate() {
            let mut new = other & !*word;
            *word |= other;
            while new != 0 {
                each(at * 64 + new.trailing_zeros() as usize);
                new &= new - 1;
            }
        }
    }
}

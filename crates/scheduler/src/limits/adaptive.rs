//! A limit that adapts: one more after a full round of answers, half as many after an overload (S10).

/// Additive increase, multiplicative decrease between a floor and a ceiling.
#[derive(Debug)]
pub(crate) struct Adaptive {
    floor: u32,
    ceiling: u32,
    limit: u32,
    answers: u32,
}

impl Adaptive {
    /// Starts at the floor.
    pub(crate) fn new(floor: u32, ceiling: u32) -> Self {
        let floor = floor.max(1);
        Self { floor, ceiling: ceiling.max(floor), limit: floor, answers: 0 }
    }

    /// Calls in flight allowed now.
    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    /// A call was answered.
    pub(crate) fn succeeded(&mut self) {
        self.answers += 1;
        if self.answers >= self.limit {
            self.answers = 0;
            self.limit = (self.limit + 1).min(self.ceiling);
        }
    }

    /// The endpoint had no room.
    pub(crate) fn overloaded(&mut self) {
        self.answers = 0;
        self.limit = (self.limit / 2).max(self.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S10
    #[test]
    fn it_grows_by_one_a_round_up_to_its_ceiling_and_halves_down_to_its_floor() {
        let mut adaptive = Adaptive::new(1, 3);

        (0..10).for_each(|_| adaptive.succeeded());
        assert_eq!(adaptive.limit(), 3);
        adaptive.overloaded();
        assert_eq!(adaptive.limit(), 1);
        adaptive.overloaded();
        assert_eq!(adaptive.limit(), 1);
    }
}

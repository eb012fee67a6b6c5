//! How much a template may use: nobody's loop stops the agent.

use std::time::{Duration, Instant};

/// The limits of one evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Steps: a statement, a command, a turn of a loop, or some bytes of a string.
    pub steps: u64,
    /// Bytes of the output, and of any one string.
    pub output: usize,
    /// How deep templates may call one another.
    pub depth: usize,
    /// Time.
    pub time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: 10_000_000,
            output: 16 * 1024 * 1024,
            depth: 100,
            time: Duration::from_secs(5),
        }
    }
}

/// What is left of a budget.
pub(crate) struct Meter {
    budget: Budget,
    left: u64,
    unlooked: u64,
    end: Option<Instant>,
}

/// After how many steps the clock is looked at.
const LOOK: u64 = 256;

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        let end = Instant::now().checked_add(budget.time);
        Self { budget, left: budget.steps, unlooked: 0, end }
    }

    /// The most bytes that a string may have.
    pub(crate) fn bytes(&self) -> usize {
        self.budget.output
    }

    /// The most levels of templates.
    pub(crate) fn depth(&self) -> usize {
        self.budget.depth
    }

    /// Takes this many steps.
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), String> {
        let Some(left) = self.left.checked_sub(steps) else {
            let steps = self.budget.steps;
            return Err(format!("rendering takes more than {steps} steps"));
        };
        self.left = left;
        self.unlooked += steps;
        if self.unlooked >= LOOK {
            self.unlooked = 0;
            if self.end.is_some_and(|end| Instant::now() >= end) {
                let seconds = self.budget.time.as_secs_f64();
                return Err(format!("rendering takes longer than {seconds} seconds"));
            }
        }
        Ok(())
    }

    /// Takes the steps that a string of this length costs, if it may be so long.
    pub(crate) fn afford(&mut self, bytes: usize) -> Result<(), String> {
        if bytes > self.budget.output {
            return Err(too_long(self.budget.output));
        }
        self.spend(bytes as u64 / 32)
    }
}

/// What is said of a string that is too long.
pub(crate) fn too_long(limit: usize) -> String {
    format!("what is rendered is longer than {limit} bytes")
}

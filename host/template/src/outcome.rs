//! What an evaluation comes to.

use usher_secret::Secret;

use crate::budget::Budget;
use crate::eval::Evaluator;
use crate::failure::Failure;
use crate::query::{Query, Values};
use crate::template::Template;

/// How an evaluation ended.
pub enum Outcome {
    /// Everything was there.
    Rendered(Rendered),
    /// These queries have no answers yet; others may follow from theirs.
    Missing(Vec<Query>),
    /// The template cannot be rendered with the data there is.
    Failed(Failure),
}

/// A whole pass.
pub struct Rendered {
    /// The text.
    pub output: Secret<Vec<u8>>,
    /// Files that the template writes besides, in their order.
    pub writes: Vec<FileWrite>,
}

/// A call of `writeToFile`.
pub struct FileWrite {
    /// The file.
    pub path: String,
    /// Its owner, by name or number; empty for the agent's own.
    pub user: String,
    /// Its group, by name or number; empty for the agent's own.
    pub group: String,
    /// Its permissions.
    pub mode: u32,
    /// Whether the content follows what is in the file.
    pub append: bool,
    /// What is written.
    pub content: Secret<Vec<u8>>,
}

/// Evaluates a template once. An error while something is missing counts as missing: with the
/// data there it may not happen.
pub fn render(template: &Template, values: &dyn Values, budget: Budget) -> Outcome {
    let mut evaluator = Evaluator::new(template, values, budget);
    let result = evaluator.run();
    if !evaluator.missing.is_empty() {
        return Outcome::Missing(evaluator.missing.into_iter().collect());
    }
    match result {
        Ok(output) => {
            Outcome::Rendered(Rendered { output: Secret::new(output), writes: evaluator.writes })
        }
        Err(failure) => Outcome::Failed(failure),
    }
}

//! Gives the script component the script that it runs.

use wasmtime::Result;

use crate::bindings::script_world::usher::script::source;
use crate::failure::{Failure, FailureKind};
use crate::script::Script;
use crate::store::State;
use crate::text;

impl source::Host for State {
    async fn name(&mut self) -> Result<String> {
        Ok(self.script()?.file.clone())
    }

    async fn text(&mut self) -> Result<String> {
        Ok(self.script()?.text.clone())
    }

    async fn fail(&mut self, code: String, message: String) -> Result<()> {
        let failure = Failure::new(FailureKind::Internal, &text::code(&code), text::line(&message));
        Err(wasmtime::Error::new(failure))
    }
}

impl State {
    fn script(&self) -> Result<&Script> {
        self.script.as_deref().ok_or_else(|| wasmtime::Error::msg("this instance has no script"))
    }
}

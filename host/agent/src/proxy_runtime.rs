//! The runtime that listeners and proxied requests have to themselves: neither a login nor a guest's
//! time slice stands in their way, nor they in the way of those.

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::runtime::{Builder, Handle};

/// The runtime, started when it is first asked for. It has one thread, which is enough: a second one
/// costs more than it brings below a hundred connections. It ends with the process.
///
/// # Errors
/// The system gives no thread for it.
pub(crate) fn handle() -> io::Result<Handle> {
    static STARTED: Mutex<Option<Handle>> = Mutex::new(None);
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*started {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().thread_name("proxy").build()?;
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name("proxy".to_owned());
    thread.spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    *started = Some(handle.clone());
    Ok(handle)
}

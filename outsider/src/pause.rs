//! A pause of a task that needs no runtime.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

/// Returns after `duration`; a thread sleeps meanwhile, not the task's.
pub(crate) async fn pause(duration: Duration) {
    let over = Arc::new(AtomicBool::new(false));
    let mut begun = false;
    poll_fn(|context| {
        if over.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !begun {
            begun = true;
            let (over, waker) = (Arc::clone(&over), context.waker().clone());
            thread::spawn(move || {
                thread::sleep(duration);
                over.store(true, Ordering::Release);
                waker.wake();
            });
        }
        Poll::Pending
    })
    .await;
}

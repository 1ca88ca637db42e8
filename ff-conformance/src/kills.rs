//! Cases of a server that is killed under load: what was acknowledged is there again, as far as the backend declares.

use ff_core::Durability;

use crate::{Cx, Verdict, WriteThrough, acknowledged::killed_under_load, check, differs_from, equals};

/// A server that writes through to its disk is killed under load and started again: nothing of what was acknowledged
/// is lost, unless less is declared, and every end is there together with its event.
///
/// Covers FF-DUR-001, FF-DUR-004. Needs server.
pub async fn a_kill_loses_nothing_that_was_acknowledged(cx: &Cx) -> Verdict {
    let kill = killed_under_load(cx, WriteThrough::Always).await?;
    check!(cx, "FF-DUR-001", kill.broken(), equals(Vec::new()));
    check!(cx, "FF-DUR-004", kill.torn, equals(Vec::new()));
    Ok(())
}

/// A server that answers before it has written is declared as one, and a kill takes the last of what each client was
/// told, never something from the midst of it or one half of a step.
///
/// Covers FF-DUR-001, FF-DUR-004. Needs server.
pub async fn a_server_that_answers_before_it_has_written_is_declared_so(cx: &Cx) -> Verdict {
    let kill = killed_under_load(cx, WriteThrough::Never).await?;
    check!(cx, "FF-DUR-001", kill.declared, differs_from(Durability::Sync));
    check!(cx, "FF-DUR-001", kill.broken(), equals(Vec::new()));
    check!(cx, "FF-DUR-004", kill.torn, equals(Vec::new()));
    Ok(())
}

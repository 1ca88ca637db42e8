//! The faults of the memory backend, and the two probes of the suite itself.

use std::collections::BTreeSet;

use ff_backend_memory::Flaw;
use ff_conformance::{CASES, Case, Cx, Requirement, Verdict, check, is_true};
use futures::FutureExt;

use crate::races;
use crate::suite::{Flawed, run, run_cases};

/// One test for each fault, and `PLANTED` with all of them.
macro_rules! planted {
    ($($name:ident: $flaw:ident against $requirement:literal;)*) => {
        pub(super) const PLANTED: &[(ff_backend_memory::Flaw, &str)] =
            &[$((ff_backend_memory::Flaw::$flaw, $requirement)),*];

        #[rstest::rstest]
        $(#[case::$name(ff_backend_memory::Flaw::$flaw, $requirement)])*
        fn a_flaw_breaks_its_requirement(#[case] flaw: ff_backend_memory::Flaw, #[case] requirement: &str) {
            $crate::flaws::dies(flaw, requirement);
        }
    };
}

mod attempts;
mod backend;
mod claims;
mod errors;
mod executions;
mod leases;
mod scanners;
mod subscriptions;

/// Every fault with the rule that it breaks.
fn all_planted() -> impl Iterator<Item = (Flaw, &'static str)> {
    let by_stem = [
        attempts::PLANTED,
        backend::PLANTED,
        claims::PLANTED,
        errors::PLANTED,
        executions::PLANTED,
        leases::PLANTED,
        scanners::PLANTED,
        subscriptions::PLANTED,
        PLANTED,
    ];
    by_stem.into_iter().flatten().copied()
}

planted! {
    m01_renew_and_complete_accept_an_older_lease: M01 against "FF-LSE-004";
    m02_the_fence_compares_the_epoch_alone: M02 against "FF-LSE-004";
    m03_a_claim_looks_first_and_takes_later: M03 against "FF-CLM-004";
    m04_a_lease_lives_a_millisecond_too_long: M04 against "FF-LSE-005";
    m06_a_take_over_keeps_the_epoch: M06 against "FF-LSE-002";
    m07_the_retry_limit_is_ignored: M07 against "FF-EXE-011";
    m07b_a_retry_counts_twice: M07b against "FF-EXE-011";
    m07c_the_reclaim_limit_is_ignored: M07c against "FF-LSE-014";
    m09_a_repeat_tells_a_second_completion: M09 against "FF-SUB-001";
    m09b_a_repeat_is_refused: M09b against "FF-EXE-028";
    m10_a_duplicate_says_created: M10 against "FF-EXE-012";
    m10b_the_idempotency_key_is_ignored: M10b against "FF-EXE-012";
    m11_the_order_ignores_the_priority: M11 against "FF-CLM-001";
    m11b_ties_go_to_the_greatest_id: M11b against "FF-CLM-001";
    m13_a_page_continues_behind_an_instant: M13 against "FF-EXE-009";
    l1_of_many_lapsed_leases_fifty_are_seen: L1 against "FF-CLM-012";
    d1_a_claim_takes_work_past_its_deadline: D1 against "FF-EXE-008";
    cap_a_claim_takes_what_its_worker_may_not: Cap against "FF-CLM-002";
    p1_progress_clears_what_it_does_not_tell: P1 against "FF-EXE-038";
    r1_no_result_is_an_empty_one: R1 against "FF-EXE-023";
    r1b_an_empty_result_is_none: R1b against "FF-EXE-023";
    hol_a_row_hides_the_rows_behind_it: Hol against "FF-CLM-003";
    e1_a_stale_handle_is_contention: E1 against "FF-ERR-007";
    o3_a_revoked_lease_is_no_revoked_one: O3 against "FF-ERR-005";
    e2_a_cancel_that_comes_late_is_not_active: E2 against "FF-ERR-008";
    ge_the_grant_of_ended_work_has_another_error: Ge against "FF-ERR-009";
    f1_every_class_is_retried: F1 against "FF-EXE-030";
    v1_a_cancel_tells_no_completion: V1 against "FF-SUB-001";
    a1_the_attempt_of_an_ended_execution_stays_open: A1 against "FF-EXE-002";
    w1_a_delay_that_has_come_is_never_due: W1 against "FF-EXE-013";
    x1_a_refused_call_leaves_a_mark: X1 against "FF-EXE-029";
    rs_interrupted_work_comes_as_fresh: Rs against "FF-CLM-040";
    rs_an_interrupted_attempt_is_not_resumed: Rs against "FF-LSE-062";
    dl_a_delay_lasts_a_millisecond_too_long: Dl against "FF-LSE-060";
    dl_a_wait_for_nothing_is_a_wait: Dl against "FF-LSE-061";
    tl_a_lease_outlives_its_attempt: Tl against "FF-LSE-063";
    tl_an_attempt_has_no_end: Tl against "FF-LSE-064";
    tl_the_time_of_an_attempt_is_not_counted: Tl against "FF-LSE-065";
    ta_a_lapse_is_taken_for_a_time_out: Ta against "FF-LSE-066";
    xd_a_relative_deadline_is_forgotten: Xd against "FF-LSE-067";
    xp_a_policy_outside_its_ranges_is_accepted: Xp against "FF-LSE-068";
    gc_a_reservation_ignores_what_its_worker_offers: Gc against "FF-CLM-041";
    gv_reserved_work_can_be_claimed: Gv against "FF-CLM-042";
    gl_work_of_a_lapsed_grant_is_lost: Gl against "FF-CLM-043";
    gw_any_worker_redeems_a_grant: Gw against "FF-CLM-044";
    gk_a_redeemed_lease_lives_too_long: Gk against "FF-CLM-045";
    gr_a_redeemed_grant_is_not_recognised: Gr against "FF-CLM-046";
    ge_the_grant_of_ended_work_is_invalid: Ge against "FF-CLM-047";
    gi_anything_is_an_interrupted_attempt: Gi against "FF-CLM-048";
    gt_a_grant_lives_for_any_time: Gt against "FF-CLM-049";
    gx_a_lapse_is_written_down_as_old: Gx against "FF-CLM-050";
    gu_reserved_work_is_explained_as_claimable: Gu against "FF-CLM-051";
    b1_a_refused_item_ends_its_batch: B1 against "FF-EXE-085";
    b1_a_refused_create_ends_its_batch: B1 against "FF-EXE-081";
    b1_a_refused_renewal_ends_its_batch: B1 against "FF-LSE-080";
    b2_a_refused_complete_hands_over: B2 against "FF-EXE-088";
    b3_a_batch_of_claims_takes_one_more: B3 against "FF-CLM-080";
    m12_a_scan_always_takes_the_first_rows: M12 against "FF-SCN-002";
    s1_a_lapse_is_told_again: S1 against "FF-SCN-003";
    s2_the_retention_keeps_an_idempotency_key: S2 against "FF-SCN-009";
    o1_another_priority_moves_nothing: O1 against "FF-EXE-063";
    o2_a_replay_keeps_the_retries: O2 against "FF-EXE-065";
    o3_a_revoked_lease_still_works: O3 against "FF-LSE-040";
    rs_a_suspended_attempt_is_not_resumed: Rs against "FF-WPT-002";
    wp01_a_resumed_execution_is_still_listed_as_suspended: Wp01 against "FF-WPT-001";
    wp03_the_key_of_a_suspend_is_ignored: Wp03 against "FF-WPT-003";
    wp04_a_signal_overtakes_a_timeout: Wp04 against "FF-WPT-004";
    wp05_every_count_counts_signals: Wp05 against "FF-WPT-005";
    m17_signals_before_the_suspension_are_dropped: M17 against "FF-WPT-006";
    wp07_a_token_opens_its_waitpoint_in_every_execution: Wp07 against "FF-WPT-007";
    wp08_a_repeat_at_a_closed_waitpoint_is_refused: Wp08 against "FF-WPT-008";
    wp09_only_the_primary_waitpoint_closes: Wp09 against "FF-WPT-009";
    wp10_a_timeout_comes_a_millisecond_late: Wp10 against "FF-WPT-010";
    wp11_a_resume_is_never_delayed: Wp11 against "FF-WPT-011";
    wp12_a_magic_name_stands_for_an_operator: Wp12 against "FF-WPT-012";
    wp13_a_worker_sees_every_signal: Wp13 against "FF-WPT-013";
    m18_a_key_counts_for_ever: M18 against "FF-WPT-014";
    m18b_a_token_is_compared_on_a_prefix: M18b against "FF-WPT-015";
    wp16_a_repeat_signs_with_the_key_of_now: Wp16 against "FF-WPT-016";
    wp17_a_key_within_its_grace_can_be_overwritten: Wp17 against "FF-WPT-017";
    wp18_a_refusal_shows_the_token: Wp18 against "FF-WPT-018";
    wp19_each_waitpoint_has_a_limit_of_its_own: Wp19 against "FF-WPT-019";
    wp20_every_call_opens_a_waitpoint: Wp20 against "FF-WPT-020";
    wp21_the_attempt_index_is_not_compared: Wp21 against "FF-WPT-021";
    wp22_a_page_of_suspended_executions_continues_by_id: Wp22 against "FF-WPT-022";
    wp23_closed_waitpoints_fill_pages: Wp23 against "FF-WPT-023";
    wp24_the_policy_times_nothing_out: Wp24 against "FF-WPT-024";
    wp25_a_resume_is_told_at_every_repeat: Wp25 against "FF-WPT-025";
    wp26_payloads_are_text: Wp26 against "FF-WPT-026";
    wp27_repeats_are_not_told: Wp27 against "FF-WPT-027";
}

/// The suite finds `flaw`, and says that it breaks `requirement`: one of the cases that cover it does.
fn dies(flaw: Flaw, requirement: &str) {
    let found = run_cases(Flawed(Some(flaw)), CASES.iter().filter(|case| case.covers.contains(&requirement)));
    assert!(found.broken.contains_key(requirement), "{flaw} does not break {requirement}: {found:#?}");
}

#[test]
fn every_flaw_is_planted_against_a_requirement() {
    let planted: BTreeSet<_> = all_planted().map(|(flaw, _)| flaw).collect();
    let racing = races::PLANTED.iter().map(|(flaw, _)| *flaw);
    assert_eq!(planted.into_iter().chain(racing).collect::<BTreeSet<_>>(), Flaw::ALL.iter().copied().collect());
    for (flaw, requirement) in all_planted().chain(races::PLANTED.iter().copied()) {
        assert!(Requirement::find(requirement).is_some(), "{flaw}: there is no {requirement}");
    }
}

#[rstest::rstest]
fn k0_a_store_without_a_flaw_is_green_every_time(
    #[values(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)] _time: u8,
) {
    let found = run(None);
    assert!(found.broken.is_empty() && found.errored.is_empty(), "{found:#?}");
    assert!(found.passed > 200, "only {} cases passed", found.passed);
}

async fn red(cx: &Cx) -> Verdict {
    check!(cx, "FF-BOO-005", false, is_true());
    Ok(())
}

#[test]
fn k1_a_case_that_is_always_red_is_red() {
    let canary = Case {
        stem: "canary",
        name: "is_always_red",
        summary: "Nothing holds.",
        covers: &["FF-BOO-005"],
        needs: &[],
        controls: &[],
        run: |cx| red(cx).boxed(),
    };
    let found = run_cases(Flawed(None), [&canary].into_iter());
    assert_eq!(found.passed, 0);
    assert_eq!(found.killers().into_iter().collect::<Vec<_>>(), ["canary::is_always_red"]);
    assert!(found.broken.contains_key("FF-BOO-005") && found.errored.is_empty(), "{found:#?}");
}

#[test]
fn k1_a_case_that_panics_is_not_passed() {
    async fn panics(_: &Cx) -> Verdict {
        panic!("a bug of the suite")
    }
    let canary = Case {
        stem: "canary",
        name: "panics",
        summary: "Nothing is judged.",
        covers: &["FF-BOO-005"],
        needs: &[],
        controls: &[],
        run: |cx| panics(cx).boxed(),
    };
    let found = run_cases(Flawed(None), [&canary].into_iter());
    assert_eq!((found.passed, found.broken.len(), found.errored.len()), (0, 0, 1), "{found:#?}");
}

//! Faults of periodic work.

planted! {
    sc1_grants_that_are_over_are_left_out: Sc1 against "FF-SCN-001";
    sc2_used_up_take_overs_are_left_out: Sc2 against "FF-SCN-004";
    sc3_a_pass_ignores_the_namespace: Sc3 against "FF-SCN-005";
    sc4_a_lapse_counts_as_a_take_over: Sc4 against "FF-SCN-006";
    sc5_a_foreign_cursor_begins_anew: Sc5 against "FF-SCN-007";
    sc6_executions_are_removed_early: Sc6 against "FF-SCN-008";
    sc7_events_are_removed_early: Sc7 against "FF-SCN-010";
}

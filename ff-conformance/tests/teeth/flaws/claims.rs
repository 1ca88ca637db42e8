//! Faults of claims.

planted! {
    cl1_an_overtaken_claim_is_refused: Cl1 against "FF-CLM-007";
    cl2_a_worker_is_handed_what_it_holds: Cl2 against "FF-CLM-009";
    cl3_a_claim_takes_from_another_lane: Cl3 against "FF-CLM-010";
    cl4_the_life_of_a_lease_is_moved_into_its_range: Cl4 against "FF-CLM-011";
    cl5_a_claim_does_not_wait: Cl5 against "FF-CLM-013";
    cl6_everything_due_is_made_ready_at_once: Cl6 against "FF-CLM-014";
    cl7_a_claim_without_work_leaves_marks: Cl7 against "FF-CLM-015";
    cl8_the_life_of_a_lease_is_rounded_up: Cl8 against "FF-CLM-016";
    cl9_a_waiting_claim_is_not_woken: Cl9 against "FF-CLM-030";
}

//! Faults of leases and their clock.

planted! {
    le1_what_was_claimed_can_be_claimed_again: Le1 against "FF-LSE-001";
    le2_what_was_taken_over_can_be_taken_over_again: Le2 against "FF-LSE-008";
    le3_an_acquisition_is_told_twice: Le3 against "FF-LSE-003";
    le4_a_refusal_does_not_say_how_work_ended: Le4 against "FF-LSE-007";
    le5_a_renewal_lasts_longer: Le5 against "FF-LSE-009";
    le6_a_renewal_is_told: Le6 against "FF-LSE-010";
    le7_an_end_is_told_without_its_reason: Le7 against "FF-LSE-011";
    le8_a_renewal_revives_a_lease: Le8 against "FF-LSE-012";
    le9_the_kind_of_a_handle_counts: Le9 against "FF-LSE-013";
    le10_the_holder_counts_before_the_lapse: Le10 against "FF-LSE-016";
    le11_a_renewal_writes_an_old_row_back: Le11 against "FF-CON-001";
    ck1_a_create_reads_the_clock_of_its_process: Ck1 against "FF-CLK-001";
    ck2_a_step_back_ends_a_lease: Ck2 against "FF-CLK-004";
}

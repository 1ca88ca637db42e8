//! Faults of units of work.

planted! {
    ex1_an_end_writes_the_creation_anew: Ex1 against "FF-EXE-006";
    ex2_payloads_are_kept_as_text: Ex2 against "FF-EXE-007";
    ex3_a_read_is_written_down: Ex3 against "FF-EXE-010";
    ex4_a_repeated_create_replaces_the_input: Ex4 against "FF-EXE-015";
    ex5_an_idempotency_key_counts_for_its_lane: Ex5 against "FF-EXE-016";
    ex6_a_low_priority_is_stored_as_given: Ex6 against "FF-EXE-018";
    ex7_the_priority_of_the_policy_wins: Ex7 against "FF-EXE-019";
    ex8_a_long_name_is_cut: Ex8 against "FF-EXE-021";
    ex9_every_claim_begins_anew: Ex9 against "FF-EXE-024";
    ex10_a_renewal_is_a_transition: Ex10 against "FF-EXE-025";
    ex11_every_full_page_names_a_next_one: Ex11 against "FF-EXE-026";
    ex12_a_deadline_changes_how_work_ended: Ex12 against "FF-EXE-005";
    ex13_a_delay_reads_as_a_retry: Ex13 against "FF-EXE-003";
    ex14_a_snapshot_shows_a_lapsed_lease: Ex14 against "FF-EXE-040";
}

//! Faults of refusals.

planted! {
    er1_an_unknown_execution_is_a_stale_lease: Er1 against "FF-ERR-001";
    er2_a_read_of_an_unknown_execution_is_refused: Er2 against "FF-ERR-002";
    er3_a_foreign_handle_is_a_damaged_one: Er3 against "FF-ERR-003";
    er4_a_refusal_leaves_out_the_attempt: Er4 against "FF-ERR-004";
    er5_a_lapsed_lease_is_a_stale_one: Er5 against "FF-ERR-006";
    er6_a_partition_beyond_the_store_is_unknown: Er6 against "FF-ERR-017";
    er7_what_is_not_found_is_a_fault_of_the_store: Er7 against "FF-ERR-018";
    e1_a_stale_handle_may_be_tried_again: E1 against "FF-ERR-019";
}

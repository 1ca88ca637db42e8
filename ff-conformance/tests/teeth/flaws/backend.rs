//! Faults of the engine itself.

planted! {
    ba1_every_prepare_makes_the_store_ready: Ba1 against "FF-BOO-001";
    ba2_a_client_goes_on_after_its_shutdown: Ba2 against "FF-BOO-004";
    ba3_a_ping_leaves_a_lane: Ba3 against "FF-BOO-005";
    ba4_a_second_shutdown_is_refused: Ba4 against "FF-BOO-006";
    ba5_a_disabled_loop_runs: Ba5 against "FF-BOO-020";
    ba6_loops_survive_the_shutdown: Ba6 against "FF-BOO-021";
    ba7_a_shutdown_changes_what_is_declared: Ba7 against "FF-CAP-004";
    ba8_a_partition_too_many_is_declared: Ba8 against "FF-CAP-007";
    ba9_two_labels_name_the_backend: Ba9 against "FF-CAP-008";
}

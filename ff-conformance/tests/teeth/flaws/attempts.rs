//! Faults of what holders do.

planted! {
    at1_a_take_over_is_not_counted: At1 against "FF-EXE-001";
    at2_a_complete_stores_no_result: At2 against "FF-EXE-027";
    at3_waits_grow_by_whole_factors: At3 against "FF-EXE-032";
    at4_jitter_is_ignored: At4 against "FF-EXE-033";
    at5_every_category_is_retried: At5 against "FF-EXE-034";
    at6_a_retried_failure_does_not_say_why: At6 against "FF-EXE-035";
    at7_a_final_failure_has_no_category: At7 against "FF-EXE-036";
    at8_a_cancel_names_an_operator: At8 against "FF-EXE-037";
    at9_a_success_forgets_the_failure: At9 against "FF-EXE-041";
}

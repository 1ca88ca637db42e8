//! Faults of subscriptions.

planted! {
    su1_a_page_comes_latest_first: Su1 against "FF-SUB-002";
    su2_a_cursor_delivers_its_event_again: Su2 against "FF-SUB-003";
    su3_a_namespace_hides_the_label: Su3 against "FF-SUB-004";
    su4_subscriptions_hold_connections: Su4 against "FF-SUB-005";
    su5_a_foreign_cursor_begins_anew: Su5 against "FF-SUB-006";
    su6_the_end_begins_one_event_before: Su6 against "FF-SUB-007";
    su7_the_start_delivers_the_oldest_event_twice: Su7 against "FF-SUB-008";
    su8_a_subscription_ends_without_a_word: Su8 against "FF-SUB-009";
}

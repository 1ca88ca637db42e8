//! Keeps what a compiler does not see: the registry, the requirements, the style, the generated documents.

mod api;
mod cases;
mod files;
mod footnotes;
mod ineligible;
mod links;
mod lua;
mod observed;
mod parity;
mod quotes;
mod refusals;
mod registry;
mod requirements;
mod sql;
mod stems;
mod style;
mod teeth;
mod tokens;
mod workflows;

use files::{Tree, report};

#[test]
fn the_registry_lists_every_case() {
    report(&registry::check(&Tree::read()));
}

#[test]
fn every_requirement_has_a_case() {
    report(&requirements::check(&Tree::read()));
}

#[test]
fn the_list_of_rules_without_teeth_only_shrinks() {
    let tree = Tree::read();
    let (requirements, _) = requirements::read(&tree);
    report(&teeth::check(&tree, &requirements));
}

#[test]
fn cases_are_written_as_cases() {
    report(&cases::check(&Tree::read()));
}

#[test]
fn files_are_small_and_say_what_they_are_for() {
    report(&style::check(&Tree::read()));
}

#[test]
fn a_stem_is_in_every_folder() {
    report(&stems::check(&Tree::read()));
}

#[test]
fn sql_keeps_its_rules() {
    report(&sql::check(&Tree::read()));
}

#[test]
fn lua_keeps_its_rules() {
    report(&lua::check(&Tree::read()));
}

#[test]
fn workflows_call_tasks_that_exist() {
    report(&workflows::check(&Tree::read()));
}

#[test]
fn every_operation_on_a_server_is_observed() {
    report(&observed::check(&Tree::read()));
}

#[test]
fn links_lead_somewhere() {
    report(&links::check(&Tree::read()));
}

#[test]
fn the_public_api_is_as_it_is_written_down() {
    report(&api::check(&Tree::read()));
}

#[test]
fn the_parity_matrix_is_that_of_the_reports() {
    report(&parity::check(&Tree::read()));
}

#[test]
fn quoted_code_is_that_of_its_file() {
    report(&quotes::check(&Tree::read()));
}

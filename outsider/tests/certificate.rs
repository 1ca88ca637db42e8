//! The same proof as a program that ends with report, JUnit and badge.

#[path = "conformance.rs"]
mod conformance;

ff_conformance::certify!(conformance::Journaled);

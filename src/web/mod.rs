//! Routes, extractors, problems, pages.

pub mod assets;
pub mod views;

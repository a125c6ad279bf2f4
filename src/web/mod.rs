//! Routes, extractors, problems, pages.

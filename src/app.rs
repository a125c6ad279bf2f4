//! Composition root: a `Config` goes in, a running broker comes out.

//! A local AWS and a development identity provider, for demos and tests.

pub mod policy;
pub mod world;

pub use world::World;

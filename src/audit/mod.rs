//! What happened, in a chain nobody can edit unseen.

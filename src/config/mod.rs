//! How this process runs: what was typed becomes what is true.

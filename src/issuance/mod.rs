//! A `Permit` becomes credentials or a console URL.

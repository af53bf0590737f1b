//! name: being written.

//! reload: being written.

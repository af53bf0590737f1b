//! One test per rule of the pool machine.

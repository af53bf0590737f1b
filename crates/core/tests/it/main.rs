//! Models and simulations of core's machines, seen from the outside.

mod pool_model;
mod pool_sim;

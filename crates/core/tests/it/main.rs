//! Models and simulations of core's machines, seen from the outside.

mod crowd;
mod pool_model;
mod pool_sim;
mod random;
mod room_sim;

//! Facade.

pub use bocadillo_rt::sent;

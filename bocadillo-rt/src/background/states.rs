//! Values that durable tasks find by their types: a database pool, a client.
//!
//! A durable task captures nothing. It may run in another process than the one that registered it,
//! and takes what it needs besides its arguments from here.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A value of any type.
pub(crate) type Shared = Arc<dyn Any + Send + Sync>;

/// Values by their types.
#[derive(Default)]
pub(super) struct States(Mutex<HashMap<TypeId, Shared>>);

impl States {
    /// Adds a value; it takes the place of another of its type.
    pub(super) fn insert(&self, value: Shared) {
        // Its own type, and not that of the pointer.
        let kind = (*value).type_id();
        let old = self.values().insert(kind, value);
        // Outside of the lock: its destructor is a user's.
        drop(old);
    }

    pub(super) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.values().get(&TypeId::of::<T>()).cloned();
        value?.downcast().ok()
    }

    fn values(&self) -> MutexGuard<'_, HashMap<TypeId, Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_their_types() {
        let states = States::default();
        states.insert(Arc::new(7_u32));
        states.insert(Arc::new("seven".to_owned()));
        assert_eq!(states.get::<u32>().as_deref(), Some(&7));
        assert_eq!(
            states.get::<String>().as_deref().map(String::as_str),
            Some("seven")
        );
        assert!(states.get::<u64>().is_none());
    }

    #[test]
    fn the_latest_of_a_type_is_found() {
        let states = States::default();
        states.insert(Arc::new(7_u32));
        states.insert(Arc::new(8_u32));
        assert_eq!(states.get::<u32>().as_deref(), Some(&8));
    }
}

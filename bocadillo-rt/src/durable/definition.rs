//! What `#[task]` makes of a function, and all of those in the program.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    panic::Location,
    sync::OnceLock,
    time::Duration,
};

use crate::{
    background::{Outcome, Policy, StoreError, Work},
    durable::envelope::Args,
    error::{Error, Result},
};

/// A function with `#[task]`: how it is named, called, and tried again.
///
/// Made by the attribute, as a static.
pub struct Definition {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) location: &'static Location<'static>,
    pub(super) policy: Policy,
    pub(super) timeout: Option<Duration>,
    begin: Begin,
}

/// Decodes the arguments, and calls the function.
type Begin = fn(Args) -> Result<Work, StoreError>;

/// Without `retries` a task is tried so often again.
const DEFAULT_RETRIES: u32 = 10;

const DEFAULT_BACKOFF: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(60 * 60));

impl Definition {
    /// Creates a definition with the default attempts.
    #[must_use]
    #[track_caller]
    pub const fn new(name: &'static str, begin: Begin) -> Self {
        Self {
            name,
            aliases: &[],
            location: Location::caller(),
            policy: Policy {
                attempts: DEFAULT_RETRIES + 1,
                first_delay: DEFAULT_BACKOFF.0,
                longest_delay: DEFAULT_BACKOFF.1,
            },
            timeout: None,
            begin,
        }
    }

    /// Sets the former names.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Sets how often it is tried again.
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.policy.attempts = retries.saturating_add(1);
        self
    }

    /// Sets how long it waits before that.
    #[must_use]
    pub const fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.policy.first_delay = first;
        self.policy.longest_delay = longest;
        self
    }

    /// Sets how long an attempt may run.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Returns the future of one attempt.
    ///
    /// # Errors
    ///
    /// Fails if the arguments do not fit the function.
    pub(super) fn begin(&self, args: Args) -> Result<Work, StoreError> {
        (self.begin)(args)
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("location", &format_args!("{}", self.location))
            .finish_non_exhaustive()
    }
}

/// Boxes a task's future. `T` is the return type as written.
pub fn work<T, F>(future: F) -> Work
where
    T: Outcome,
    F: Future<Output = T> + Send + 'static,
{
    Box::pin(async move { future.await.into_result() })
}

/// A definition, in the program's list.
#[derive(Clone, Copy, Debug)]
pub struct Registered(pub &'static Definition);

inventory::collect!(Registered);

/// All tasks of the program by their names, former names included.
#[derive(Debug)]
pub(crate) struct Registry {
    by_name: HashMap<&'static str, &'static Definition>,
}

impl Registry {
    /// Returns the tasks of this program.
    ///
    /// # Errors
    ///
    /// Fails if two tasks have one name.
    pub(crate) fn get() -> Result<&'static Self> {
        static ALL: OnceLock<Result<Registry, String>> = OnceLock::new();
        let all = inventory::iter::<Registered>;
        let all = ALL.get_or_init(|| Self::of(all.into_iter().map(|Registered(task)| *task)));
        all.as_ref().map_err(|text| Error::msg(text.clone()))
    }

    fn of(all: impl IntoIterator<Item = &'static Definition>) -> Result<Self, String> {
        let mut by_name = HashMap::new();
        for definition in all {
            let own: HashSet<_> = definition.aliases.iter().copied().collect();
            for name in own.into_iter().chain([definition.name]) {
                if let Some(other) = by_name.insert(name, definition) {
                    return Err(two_of_one_name(name, other, definition));
                }
            }
        }
        Ok(Self { by_name })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&'static Definition> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.by_name.keys().copied().collect()
    }
}

fn two_of_one_name(name: &str, one: &Definition, other: &Definition) -> String {
    // In an order that does not depend on the linker.
    let mut places = [one.location, other.location];
    places.sort_by_key(|place| (place.file(), place.line(), place.column()));
    format!(
        "two durable tasks are named `{name}`: at {} and at {}; \
         give one of them another name: `#[task(name = \"…\")]`",
        places[0], places[1]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: Args) -> Result<Work, StoreError> {
        Ok(Box::pin(async { Ok(()) }))
    }

    static MAIL: Definition = Definition::new("mail", nothing).aliases(&["post"]);
    static POST: Definition = Definition::new("post", nothing);
    static OTHER: Definition = Definition::new("other", nothing).aliases(&["former", "former"]);

    #[test]
    fn found_by_its_name_and_its_former_ones() {
        let registry = Registry::of([&MAIL, &OTHER]).expect("it is right");
        for (name, found) in [("mail", "mail"), ("post", "mail"), ("former", "other")] {
            assert_eq!(registry.find(name).map(|it| it.name), Some(found));
        }
        assert!(registry.find("nobody").is_none());
    }

    #[test]
    fn two_of_one_name_are_refused_with_both_places() {
        let error = Registry::of([&MAIL, &POST]).expect_err("it is refused");
        let places = [MAIL.location, POST.location].map(ToString::to_string);
        assert!(
            error.starts_with("two durable tasks are named `post`: at "),
            "{error}"
        );
        assert!(places.iter().all(|place| error.contains(place)), "{error}");
    }
}

//! What is kept of a call: its arguments by name, as JSON.
//!
//! `{"v": 1, "name": "mail.confirm", "enqueued_at": 1700000000000, "args": {"who": "ada"}}`, where
//! the time is in milliseconds since 1970. Other fields are ignored, so that a later version may add
//! some; a greater `v` means that this version cannot read it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::background::StoreError;

const VERSION: u32 = 1;

/// What may be an argument of a durable task: a value that can be written, and read again.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a durable task",
    label = "must be owned, and implement `Serialize` and `Deserialize`",
    note = "the arguments are stored until the task has run, and it may run in another process; \
            shared values such as a database pool are `background::current().state::<T>()`"
)]
pub trait TaskArgument: Sized {
    #[doc(hidden)]
    fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()>;

    #[doc(hidden)]
    fn read(from: Value) -> serde_json::Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> TaskArgument for T {
    fn write(&self, to: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(to, self)
    }

    fn read(from: Value) -> serde_json::Result<Self> {
        Self::deserialize(from)
    }
}

/// Writes the arguments of a call.
#[derive(Debug)]
pub struct Values {
    json: Vec<u8>,
    fault: Option<StoreError>,
}

impl Values {
    /// Begins without arguments.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "an object has begun")]
    pub fn new() -> Self {
        Self {
            json: vec![b'{'],
            fault: None,
        }
    }

    /// Adds an argument; the first one that cannot be written is the fault of the call.
    pub fn put<T: TaskArgument>(&mut self, name: &'static str, value: &T) {
        if self.fault.is_some() {
            return;
        }
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        let written = write_string(name, &mut self.json).and_then(|()| {
            self.json.push(b':');
            value.write(&mut self.json)
        });
        if let Err(error) = written {
            let what = format!("argument `{name}` cannot be written as JSON");
            self.fault = Some(StoreError::fault(what, error));
        }
    }

    /// Returns the envelope.
    pub(super) fn seal(mut self, name: &str) -> Result<Vec<u8>, StoreError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut sealed = Vec::with_capacity(self.json.len() + name.len() + 64);
        sealed.extend_from_slice(format!("{{\"v\":{VERSION},\"name\":").as_bytes());
        let written = write_string(name, &mut sealed);
        written.map_err(|error| StoreError::fault("name cannot be written as JSON", error))?;
        let enqueued_at = SystemTime::now().duration_since(UNIX_EPOCH);
        let enqueued_at = enqueued_at.map_or(0, |since| since.as_millis());
        sealed.extend_from_slice(format!(",\"enqueued_at\":{enqueued_at},\"args\":").as_bytes());
        sealed.append(&mut self.json);
        sealed.extend_from_slice(b"}}");
        Ok(sealed)
    }
}

fn write_string(text: &str, to: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(to, text)
}

#[derive(Deserialize)]
struct Envelope {
    v: u32,
    args: Map<String, Value>,
}

/// The arguments of a call, as they were kept.
#[derive(Debug)]
pub struct Args(Map<String, Value>);

impl Args {
    /// Reads an envelope.
    pub(super) fn open(payload: &[u8]) -> Result<Self, StoreError> {
        let envelope: Envelope = serde_json::from_slice(payload)
            .map_err(|error| StoreError::fault("the task's envelope cannot be read", error))?;
        if envelope.v > VERSION {
            let what = "the task was enqueued by a newer version of bocadillo";
            return Err(StoreError::new(what));
        }
        Ok(Self(envelope.args))
    }

    /// Takes an argument. One that was not there when the task was enqueued is read as null: an
    /// `Option` is `None` then.
    ///
    /// # Errors
    ///
    /// Fails if what was kept is not a `T`.
    pub fn take<T: TaskArgument>(&mut self, name: &str) -> Result<T, StoreError> {
        let kept = self.0.remove(name);
        let is_kept = kept.is_some();
        T::read(kept.unwrap_or_default()).map_err(|error| {
            if is_kept {
                StoreError::fault(format!("argument `{name}` cannot be read"), error)
            } else {
                StoreError::fault(format!("argument `{name}` was not kept"), error)
            }
        })
    }

    pub(crate) fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vec<u8> {
        let mut values = Values::new();
        values.put("who", &"ada \"the first\"".to_owned());
        values.put("order", &7_u64);
        values.seal("mail").expect("it is right")
    }

    #[test]
    fn arguments_are_read_by_name() {
        let mut args = Args::open(&sealed()).expect("it is right");
        assert_eq!(args.take::<u64>("order").expect("it is right"), 7);
        assert_eq!(
            args.take::<String>("who").expect("it is right"),
            "ada \"the first\""
        );
    }

    #[test]
    fn the_envelope_is_json() {
        let value: Value = serde_json::from_slice(&sealed()).expect("it is right");
        assert_eq!(value["v"], 1);
        assert_eq!(value["name"], "mail");
        assert_eq!(value["args"]["order"], 7);
        assert!(value["enqueued_at"].as_u64().expect("it is right") > 1_700_000_000_000);
    }

    #[test]
    fn an_added_option_reads_old_rows() {
        let mut args = Args::open(&sealed()).expect("it is right");
        assert_eq!(args.take::<Option<u8>>("added").expect("it is right"), None);
        let error = args.take::<u8>("added").expect_err("it is refused");
        assert_eq!(error.to_string(), "argument `added` was not kept");
    }

    #[test]
    fn a_removed_argument_is_ignored() {
        let mut args = Args::open(&sealed()).expect("it is right");
        assert_eq!(args.take::<u64>("order").expect("it is right"), 7);
    }

    #[test]
    fn a_value_that_cannot_be_written_is_the_calls_fault() {
        let mut values = Values::new();
        values.put("keys", &std::collections::HashMap::from([((1, 2), 3)]));
        values.put("after", &1);
        let error = values.seal("mail").expect_err("it is refused");
        assert_eq!(
            error.to_string(),
            "argument `keys` cannot be written as JSON"
        );
    }

    #[test]
    fn a_newer_envelope_is_refused() {
        let newer = br#"{"v":2,"name":"mail","args":{}}"#;
        assert!(Args::open(newer).is_err());
        assert!(Args::open(b"{").is_err());
    }
}

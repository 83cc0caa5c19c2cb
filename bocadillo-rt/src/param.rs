//! What a path parameter converts to.

use std::num::IntErrorKind;

/// A type that a path parameter converts to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a path parameter",
    label = "a path parameter is a `String`, a number, `bool` or `char`",
    note = "for a type of your own, implement `FromParam`"
)]
pub trait FromParam: Sized {
    /// Converts the decoded text.
    ///
    /// # Errors
    ///
    /// Returns what the client is told.
    fn from_param(text: &str) -> Result<Self, String>;
}

impl FromParam for String {
    fn from_param(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

macro_rules! integers {
    ($($type:ty, $message:literal;)+) => {$(
        impl FromParam for $type {
            fn from_param(text: &str) -> Result<Self, String> {
                text.parse::<$type>().map_err(|error| match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                        format!("Must be from {} to {}.", <$type>::MIN, <$type>::MAX)
                    }
                    _ => $message.to_owned(),
                })
            }
        }
    )+};
}

integers! {
    u8, "Must be a whole number from 0 to 255.";
    u16, "Must be a whole number from 0 to 65535.";
    u32, "Must be a whole number that is not negative.";
    u64, "Must be a whole number that is not negative.";
    u128, "Must be a whole number that is not negative.";
    usize, "Must be a whole number that is not negative.";
    i8, "Must be a whole number from -128 to 127.";
    i16, "Must be a whole number from -32768 to 32767.";
    i32, "Must be a whole number.";
    i64, "Must be a whole number.";
    i128, "Must be a whole number.";
    isize, "Must be a whole number.";
}

macro_rules! floats {
    ($($type:ty)+) => {$(
        impl FromParam for $type {
            fn from_param(text: &str) -> Result<Self, String> {
                let Ok(number) = text.parse::<$type>() else {
                    return Err("Must be a number.".to_owned());
                };
                // Unlike `inf`, which says so.
                if number.is_infinite() && text.contains(|letter: char| letter.is_ascii_digit()) {
                    return Err(format!("Must be from {:e} to {:e}.", <$type>::MIN, <$type>::MAX));
                }
                Ok(number)
            }
        }
    )+};
}

floats! { f32 f64 }

impl FromParam for bool {
    fn from_param(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "Must be `true` or `false`.".to_owned())
    }
}

impl FromParam for char {
    fn from_param(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "Must be one character.".to_owned())
    }
}

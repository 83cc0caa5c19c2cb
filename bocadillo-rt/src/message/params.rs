//! The path parameters of a request, and the types that they convert to.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    fmt::Display,
    num::{IntErrorKind, ParseIntError},
    ops::Range,
    str::FromStr,
    sync::Arc,
};

use crate::message::path::{Decoded, decode};

/// The path parameters of a request. Most requests have none, so the type is one word.
#[derive(Debug, Default)]
pub(crate) struct Params(Option<Box<Places>>);

/// The names of the parameters, and the positions of their values in the path.
#[derive(Debug)]
struct Places {
    names: Arc<[String]>,
    ranges: Vec<Range<usize>>,
}

impl Params {
    pub(crate) fn new(
        names: &Arc<[String]>,
        path: &str,
        params: &matchit::Params<'_, '_>,
        decoded: Option<&Decoded>,
    ) -> Self {
        let begin = path.as_ptr() as usize;
        let range = |value: &str| {
            let at = value.as_ptr() as usize - begin;
            let range = at..at + value.len();
            decoded.map_or(range.clone(), |decoded| decoded.origin(&range))
        };
        let ranges = params.iter().map(|(_, value)| range(value)).collect();
        Self(Some(Box::new(Places {
            names: Arc::clone(names),
            ranges,
        })))
    }

    /// Returns the decoded value, or the reason why it cannot be decoded.
    pub(crate) fn get<'a>(
        &self,
        path: &'a str,
        name: &str,
    ) -> Option<Result<Cow<'a, str>, &'static str>> {
        let found = self.0.as_ref()?;
        let at = found.names.iter().position(|known| known == name)?;
        let raw = path.get(found.ranges.get(at)?.clone())?;
        Some(decode(raw))
    }
}

/// A type that a path parameter converts to.
///
/// Every type that implements [`FromStr`] is one, also a type of another crate such as `Uuid`. A
/// value that does not convert is answered by a 400. For a number, a `bool` or a `char`, the detail
/// of that error says what the value must be. For any other type, the detail is the `Display` of
/// its error. A type that is not `FromStr` may implement this trait and choose the detail itself.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, Request, Response, route, testing::Client};
/// use std::net::IpAddr;
///
/// #[route("/hosts/{address}")]
/// async fn host(_req: &mut Request, res: &mut Response, address: IpAddr) {
///     res.json(&address.is_ipv4());
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new(App::new().route(host));
/// assert!(client.get("/hosts/127.0.0.1").await.json::<bool>());
/// assert_eq!(client.get("/hosts/ada").await.status(), 400);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a path parameter",
    label = "expected a type that implements `FromStr`, such as a `String` or a number",
    note = "for a type of your own, implement `FromStr`, or `bocadillo::FromParam`"
)]
pub trait FromParam: Sized {
    /// Converts the decoded text.
    ///
    /// # Errors
    ///
    /// Returns the detail of the 400 that the client gets.
    fn from_param(text: &str) -> Result<Self, String>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr<Err: Display + 'static> + 'static> FromParam for T {
    fn from_param(text: &str) -> Result<Self, String> {
        let value: Self = text.parse().map_err(|error: T::Err| {
            let kind = (&error as &dyn Any).downcast_ref().map(ParseIntError::kind);
            let known = KNOWN.iter().find(|known| (known.id)() == TypeId::of::<T>());
            match (known, kind) {
                (Some(known), Some(IntErrorKind::PosOverflow | IntErrorKind::NegOverflow)) => {
                    (known.range)()
                }
                (Some(known), _) => known.sentence.to_owned(),
                (None, _) => error.to_string(),
            }
        })?;
        check_finite(&value, text)?;
        Ok(value)
    }
}

/// Rejects a number beyond the range of a float, which parses as infinite. The text `inf` is
/// accepted.
fn check_finite(value: &dyn Any, text: &str) -> Result<(), String> {
    let single = value
        .downcast_ref::<f32>()
        .is_some_and(|it| it.is_infinite());
    let double = value
        .downcast_ref::<f64>()
        .is_some_and(|it| it.is_infinite());
    if !single && !double || !text.contains(|letter: char| letter.is_ascii_digit()) {
        return Ok(());
    }
    Err(if single {
        format!("Must be from {:e} to {:e}.", f32::MIN, f32::MAX)
    } else {
        format!("Must be from {:e} to {:e}.", f64::MIN, f64::MAX)
    })
}

/// What the client is told about a type of the standard library.
struct Known {
    id: fn() -> TypeId,
    sentence: &'static str,
    range: fn() -> String,
}

macro_rules! known {
    ($($type:ty, $sentence:expr, $range:expr;)+) => {
        &[$(Known { id: TypeId::of::<$type>, sentence: $sentence, range: $range }),+]
    };
}

macro_rules! range {
    ($type:ty) => {
        || format!("Must be from {} to {}.", <$type>::MIN, <$type>::MAX)
    };
}

const NOT_NEGATIVE: &str = "Must be a whole number that is not negative.";
const WHOLE: &str = "Must be a whole number.";
const NUMBER: &str = "Must be a number.";

static KNOWN: &[Known] = known! {
    u8, "Must be a whole number from 0 to 255.", range!(u8);
    u16, "Must be a whole number from 0 to 65535.", range!(u16);
    u32, NOT_NEGATIVE, range!(u32);
    u64, NOT_NEGATIVE, range!(u64);
    u128, NOT_NEGATIVE, range!(u128);
    usize, NOT_NEGATIVE, range!(usize);
    i8, "Must be a whole number from -128 to 127.", range!(i8);
    i16, "Must be a whole number from -32768 to 32767.", range!(i16);
    i32, WHOLE, range!(i32);
    i64, WHOLE, range!(i64);
    i128, WHOLE, range!(i128);
    isize, WHOLE, range!(isize);
    f32, NUMBER, || NUMBER.to_owned();
    f64, NUMBER, || NUMBER.to_owned();
    bool, "Must be `true` or `false`.", || String::new();
    char, "Must be one character.", || String::new();
};

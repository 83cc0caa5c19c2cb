//! Puts a token into a header value, where a HEADERS frame ends the HTTP/2 stream.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, TE, TRANSFER_ENCODING, UPGRADE},
};

use super::token::Token;

/// hyper removes these headers from an HTTP/2 response, and a token in them would be dropped early.
const REMOVED: [HeaderName; 5] = [
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The bytes of a header value, and the token that is dropped with them after the encoding.
struct Carrier {
    value: Bytes,
    _token: Token,
}

impl AsRef<[u8]> for Carrier {
    fn as_ref(&self) -> &[u8] {
        &self.value
    }
}

/// Puts the token into the shortest header value, or gives it back.
pub(super) fn insert(headers: &mut HeaderMap, token: Token) -> Result<(), Token> {
    // hyper removes the headers that `connection` names.
    if headers.contains_key(CONNECTION) {
        return Err(token);
    }
    let carried = headers
        .iter_mut()
        .filter(|(name, _)| !REMOVED.contains(name));
    let Some((_, value)) = carried.min_by_key(|(_, value)| value.len()) else {
        return Err(token);
    };
    let bytes = Bytes::copy_from_slice(value.as_bytes());
    let carrier = Bytes::from_owner(Carrier {
        value: bytes,
        _token: token,
    });
    let Ok(mut carrying) = HeaderValue::from_maybe_shared(carrier) else {
        unreachable!("the bytes of a header value are a header value");
    };
    // Never indexed: HPACK's dynamic table would keep the value, and with it the token.
    carrying.set_sensitive(true);
    *value = carrying;
    Ok(())
}

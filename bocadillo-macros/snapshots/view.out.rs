#[allow(unused_imports, unreachable_pub, clippy::wildcard_imports)]
use ::bocadillo::__private::names::*;
pub async fn create_order(_req: &mut Request, response: &mut Response) {
    #[allow(unused_imports, clippy::useless_attribute)]
    use background as _;
    response.background(::bocadillo::__private::task::<(), _>(
        "send_confirmation",
        ::core::panic::Location::caller(),
        async move {},
    ));
    response.status(201);
}

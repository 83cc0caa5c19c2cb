pub fn order<'__bocadillo_view>(
    __bocadillo_req: &'__bocadillo_view mut ::bocadillo::Request,
    __bocadillo_res: &'__bocadillo_view mut ::bocadillo::Response,
    id: u64,
) -> ::bocadillo::__private::Routed<
    impl ::bocadillo::__private::RouteMeta,
    impl ::core::future::Future<Output = bocadillo::Result<()>>
    + ::core::marker::Send
    + '__bocadillo_view,
> {
    struct __BocadilloRoute;
    impl ::bocadillo::__private::RouteMeta for __BocadilloRoute {
        const PATH: &'static str = "/orders/{id}";
        const METHODS: &'static [&'static str] = &["GET", "POST"];
        const PARAMS: &'static [&'static str] = &["id"];
        const NAME: &'static str = "order";
        fn location() -> &'static ::core::panic::Location<'static> {
            ::core::panic::Location::caller()
        }
    }
    ::bocadillo::__private::is_path_parameter::<u64>();
    ::bocadillo::__private::is_view_outcome::<bocadillo::Result<()>>();
    async fn order(req: &mut Request, res: &mut Response, id: u64) -> bocadillo::Result<()> {
        res.json(&load(id).await?);
        Ok(())
    }
    ::bocadillo::__private::Routed::<__BocadilloRoute, _>::new(order(
        __bocadillo_req,
        __bocadillo_res,
        id,
    ))
}

async fn create_order(_req: &mut Request, res: &mut Response) {
    res.background(::bocadillo::__private::task::<(), _>(
        "first",
        ::core::panic::Location::caller(),
        async move {
            if false {
                return ::bocadillo::__private::returns::<()>();
            }
        },
    ));
    {
        #[deprecated = "this task never runs, because `second` takes its place; to run both, add the option `add` to `second`"]
        fn first() {}
        let _ = first;
    }
    res.background(::bocadillo::__private::task::<(), _>(
        "second",
        ::core::panic::Location::caller(),
        async move {
            if false {
                return ::bocadillo::__private::returns::<()>();
            }
        },
    ));
}

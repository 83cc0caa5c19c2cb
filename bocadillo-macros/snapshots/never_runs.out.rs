async fn create_order(_req: &mut Request, res: &mut Response) {
    res.background(::bocadillo::__private::task::<(), _>(
        "first",
        ::core::panic::Location::caller(),
        async move {},
    ));
    {
        #[deprecated(
            note = "`first` never runs: `second` comes after it in the same block and takes its place; to keep both, give `second` the option `add`"
        )]
        const __BOCADILLO_NEVER_RUNS: u8 = 0;
        let _ = __BOCADILLO_NEVER_RUNS;
    }
    res.background(::bocadillo::__private::task::<(), _>(
        "second",
        ::core::panic::Location::caller(),
        async move {},
    ));
}

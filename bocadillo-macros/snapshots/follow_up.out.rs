async fn around() {
    res.background(::bocadillo::__private::task::<(), _>(
        "send_confirmation",
        ::core::panic::Location::caller(),
        async move {
            ::bocadillo::__private::current().spawn(
                ::bocadillo::__private::task::<(), _>(
                    "write_log",
                    ::core::panic::Location::caller(),
                    async move {},
                )
                .name("log"),
            );
        },
    ));
}

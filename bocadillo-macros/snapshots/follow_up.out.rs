async fn around() {
    res.background(::bocadillo::__private::task::<(), _>(
        "send_confirmation",
        ::core::panic::Location::caller(),
        async move {
            if false {
                return ::bocadillo::__private::returns::<()>();
            }
            ::bocadillo::__private::current().spawn(
                ::bocadillo::__private::task::<(), _>(
                    "write_log",
                    ::core::panic::Location::caller(),
                    async move {
                        if false {
                            return ::bocadillo::__private::returns::<()>();
                        }
                    },
                )
                .name("log"),
            );
        },
    ));
}

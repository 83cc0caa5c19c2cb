async fn around() {
    res.background(::bocadillo::__private::never(
        "poll",
        ::core::panic::Location::caller(),
        async move {
            loop {
                step().await;
            }
        },
    ));
}

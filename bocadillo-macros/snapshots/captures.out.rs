async fn around() {
    res.background(::bocadillo::__private::task::<(), _>(
        "send_confirmation",
        ::core::panic::Location::caller(),
        async move {
            mailer::send(&order.email).await;
        },
    ));
}

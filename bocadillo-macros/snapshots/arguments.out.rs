async fn around() {
    res.background({
        let (mut who, number): (String, u32) = (order.email, ::core::clone::Clone::clone(&number));
        ::bocadillo::__private::task::<(), _>(
            "send_confirmation",
            ::core::panic::Location::caller(),
            async move {
                who.push_str("@example.net");
            },
        )
    });
}

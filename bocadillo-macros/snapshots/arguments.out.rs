async fn around() {
    let () = {
        let (mut who, number): (String, u32) = (order.email, ::core::clone::Clone::clone(&number));
        res.background(::bocadillo::__private::task::<(), _>(
            "send_confirmation",
            ::core::panic::Location::caller(),
            async move {
                if false {
                    return ::bocadillo::__private::returns::<()>();
                }
                who.push_str("@example.net");
            },
        ));
    };
}

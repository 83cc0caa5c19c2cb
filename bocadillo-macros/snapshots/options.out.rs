async fn around() {
    let () = {
        let db = ::core::clone::Clone::clone(&db);
        let email = ::core::clone::Clone::clone(&email);
        res.background(
            ::bocadillo::__private::task::<(), _>(
                "send_confirmation",
                ::core::panic::Location::caller(),
                async move {
                    if false {
                        return ::bocadillo::__private::returns::<()>();
                    }
                    db.mark(email).await;
                },
            )
            .name("mail")
            .timeout(::core::time::Duration::from_millis(30000u64))
            .when(::bocadillo::__private::When::Success),
        );
    };
}

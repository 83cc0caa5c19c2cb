async fn around() {
    res.background(
        ::bocadillo::__private::blocking(
            "make_thumbnail",
            ::core::panic::Location::caller(),
            move || -> Result<(), image::Error> { image::shrink(path) },
        )
        .timeout(LIMIT),
    );
}

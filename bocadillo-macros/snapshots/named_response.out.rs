async fn around() {
    self.res
        .add_background(::bocadillo::__private::task::<io::Result<()>, _>(
            "write_log",
            ::core::panic::Location::caller(),
            async move {
                log.write(line).await?;
                Ok(())
            },
        ));
}

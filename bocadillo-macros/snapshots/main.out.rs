fn main() -> bocadillo::Result<()> {
    async fn main() -> bocadillo::Result<()> {
        bocadillo::App::new().serve("127.0.0.1:8000").await
    }
    ::bocadillo::__private::want_log();
    ::bocadillo::__private::block_on(main()).expect("the system has threads for a runtime")
}

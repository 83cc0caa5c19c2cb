async fn around() {
    ::core::compile_error! { "`tmeout` is no option of `#[background]`; did you mean `timeout`?" }
    ::core::compile_error! { "a background task needs an `async fn`; add `async` before `fn`, or for a function that blocks the option `blocking`" }
    #[allow(unused, clippy::all)]
    {
        let _ = async || {
            mailer::send(&order.email).await;
        };
    }
}

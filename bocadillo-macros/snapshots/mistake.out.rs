async fn around() {
    {
        ::core::compile_error! { "unknown option `tmeout`; did you mean `timeout`?" }
        ::core::compile_error! { "background task is not `async`; add `async` before `fn`" }
        let _ = async || {
            mailer::send(&order.email).await;
        };
    }
}

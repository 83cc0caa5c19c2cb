//! What the attributes accept, and what they say to mistakes. See `ui-tests/README.md`.

#[test]
fn accepted() {
    trybuild::TestCases::new().pass("ui-tests/*/pass/*.rs");
}

#[test]
fn refused_in_our_own_words() {
    trybuild::TestCases::new().compile_fail("ui-tests/*/fail/*.rs");
}

/// The compiler's words change with it.
#[rustversion::attr(not(stable(1.95)), ignore = "the words of another compiler")]
#[test]
fn refused_in_the_words_of_rustc() {
    trybuild::TestCases::new().compile_fail("ui-tests/*/fail_rustc/*.rs");
}

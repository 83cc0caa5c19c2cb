#[background(blocking, timeout = LIMIT)]
fn make_thumbnail() -> Result<(), image::Error> {
    image::shrink(path)
}

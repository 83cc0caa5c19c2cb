//! Without an attribute around it, it needs an import.

use bocadillo::Response;

fn confirm(_res: &mut Response, email: String) {
    #[background]
    async fn send_confirmation() {
        println!("to {email}");
    }
    println!("{email}");
}

fn main() {
    let _ = confirm;
}

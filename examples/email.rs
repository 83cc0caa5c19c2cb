//! A confirmation by e-mail, really sent: over SMTP, after the response.
//!
//! Run with `SMTP=127.0.0.1:2525 cargo run --example email` where such a server listens (as Mailpit
//! does), and try
//!
//! ```text
//! curl -i -X POST http://127.0.0.1:8000/orders -d 'ada@example.net'         # 201
//! ```
//!
//! Without a server the log has the task's failure. `cargo test --example email` has a server.

use std::{env, time::Duration};

use bocadillo::{App, BoxError, HttpError, Request, Response, route};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor, message::Mailbox};

type Mailer = AsyncSmtpTransport<Tokio1Executor>;

#[route("/orders", methods = ["post"])]
async fn create_order(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let text = req.text().await?;
    // What can be said to the client is said before the response, not in the task.
    let to: Mailbox = text
        .parse()
        .map_err(|_| HttpError::new(422).detail("no address"))?;
    let mailer = req.state::<Mailer>()?.clone();

    #[background(timeout = "1m", when = "success")]
    async fn send_confirmation() -> Result<(), BoxError> {
        let message = Message::builder()
            .from("Shop <shop@example.net>".parse()?)
            .to(to)
            .subject("Your order")
            .body("Thank you.".to_owned())?;
        mailer.send(message).await?;
        Ok(())
    }

    res.status(201);
    Ok(())
}

fn app(host: &str, port: u16) -> App {
    // For a server on the same machine; `AsyncSmtpTransport::relay` has TLS.
    let mailer: Mailer = Mailer::builder_dangerous(host)
        .port(port)
        .timeout(Some(Duration::from_secs(10)))
        .build();
    App::new().route(create_order).state(mailer)
}

#[bocadillo::main]
async fn main() -> bocadillo::Result<()> {
    let server = env::var("SMTP").unwrap_or_else(|_| "127.0.0.1:2525".to_owned());
    let (host, port) = server.rsplit_once(':').unwrap_or((&server, "25"));
    app(host, port.parse()?).serve("127.0.0.1:8000").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocadillo::{background::TaskState, testing::Client};
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        net::TcpListener,
    };

    /// Takes one mail, as a server does; returns its lines.
    async fn take_one(listener: TcpListener) -> std::io::Result<Vec<String>> {
        let (mut stream, _) = listener.accept().await?;
        let (reader, mut writer) = stream.split();
        let mut lines = BufReader::new(reader).lines();
        let (mut mail, mut is_content) = (Vec::new(), false);
        writer.write_all(b"220 ready\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let answer: &[u8] = match &*line {
                "." => b"250 taken\r\n",
                _ if is_content => b"",
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => b"250 yes\r\n",
            };
            is_content = (is_content || line == "DATA") && line != ".";
            mail.push(line);
            writer.write_all(answer).await?;
            if answer.starts_with(b"250 taken") {
                break;
            }
        }
        Ok(mail)
    }

    #[tokio::test]
    async fn a_confirmation_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let taken = tokio::spawn(take_one(listener));
        let client = Client::new(app("127.0.0.1", port));
        let response = client.post("/orders").body("Ada <ada@example.net>").await;
        assert_eq!(response.status(), 201);
        let reports = response.tasks().await;
        assert_eq!(reports[0].outcome, TaskState::Completed, "{reports:?}");
        let mail = taken.await.expect("no panic").expect("a mail").join("\n");
        assert!(mail.contains("RCPT TO:<ada@example.net>"), "{mail}");
        assert!(mail.contains("Subject: Your order"), "{mail}");
        assert!(mail.contains("Thank you."), "{mail}");
    }

    #[tokio::test]
    async fn what_is_no_address_is_told_before() {
        let client = Client::new(app("127.0.0.1", 9));
        let response = client.post("/orders").body("nobody").await;
        assert_eq!(response.status(), 422);
        assert!(response.tasks().await.is_empty());
    }
}

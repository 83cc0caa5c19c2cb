//! The ports of Starlette's and FastAPI's background tasks in docs/porting.md.

use bocadillo::{App, Request, Response, route};
use serde::Deserialize;
use serde_json::json;

use crate::guide::Ran;

#[derive(Deserialize)]
struct SignUp {
    email: String,
}

#[route("/sign-up", methods = ["post"])]
async fn sign_up(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let data: SignUp = req.json().await?;
    let ran = req.state::<Ran>()?.clone();
    res.background(send(ran, data.email));
    res.json(&json!({ "status": "ok" }));
    Ok(())
}

#[route("/several", methods = ["post"])]
async fn several(req: &mut Request, res: &mut Response) -> bocadillo::Result<()> {
    let ran = req.state::<Ran>()?.clone();
    #[background]
    async fn send_both() {
        send(ran.clone(), "a".to_owned()).await;
        send(ran, "b".to_owned()).await;
    }
    res.json(&json!({ "status": "ok" }));
    Ok(())
}

#[route("/notify/{email}", methods = ["post"])]
async fn notify(req: &mut Request, res: &mut Response, email: String) -> bocadillo::Result<()> {
    let ran = req.state::<Ran>()?.clone();
    #[background(blocking, clone(email))]
    fn write_log() {
        ran.push(format!("notified {email}"));
    }
    res.status(202);
    res.json(&json!({ "email": email }));
    Ok(())
}

async fn send(ran: Ran, who: String) {
    ran.push(format!("to {who}"));
}

pub(crate) fn app(ran: Ran) -> App {
    App::new()
        .route(sign_up)
        .route(several)
        .route(notify)
        .state(ran)
}

//! By HTTP/2, with prior knowledge: by the `h2` crate.

use std::net::Ipv4Addr;

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use http::Request;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::{HEADERS, PATIENCE, PAUSE, Scenario};
use crate::Result;

pub(super) fn drive(port: u16, scenario: &Scenario, requests: u64) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (mut send, connection) = handshake(stream).await?;
        tokio::spawn(connection);
        for number in 1..=requests {
            let exchanged = timeout(PATIENCE, exchange(&mut send, scenario)).await;
            exchanged
                .unwrap_or_else(|_| Err("no answer".into()))
                .map_err(|error| format!("{}, request {number}: {error}", scenario.name))?;
            sleep(PAUSE).await;
        }
        Ok(())
    })
}

async fn exchange(send: &mut SendRequest<Bytes>, scenario: &Scenario) -> Result<()> {
    let (response, mut body) = send.send_request(request(scenario)?, scenario.json.is_none())?;
    if let Some(json) = scenario.json {
        body.send_data(Bytes::from_static(json.as_bytes()), true)?;
    }
    let (head, mut body) = response.await?.into_parts();
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        read.extend_from_slice(&data);
    }
    scenario.check(head.status.as_u16(), &read)
}

fn request(scenario: &Scenario) -> Result<Request<()>> {
    let mut request = Request::builder()
        .method(scenario.method)
        .uri(format!("http://localhost{}", scenario.path));
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    if let Some(json) = scenario.json {
        request = request
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, json.len());
    }
    Ok(request.body(())?)
}

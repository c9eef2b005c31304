//! `extproc ADDRESS`: an Envoy external processor that masks e-mail address, telephone number and account
//! number in a buffered answer with `serde_json`. What somebody would write who had no gateway.

use std::pin::Pin;

use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::common_response::ResponseStatus;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Said;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeadersResponse, ProcessingRequest, ProcessingResponse,
};
use futures_core::Stream;
use serde_json::Value;
use tonic::{Request, Response, Status, Streaming};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGE_MAX: usize = 16 << 20;

struct Masker;

fn walk(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if matches!(name.as_str(), "email" | "phone" | "iban") {
                    *value = "***".into();
                } else {
                    walk(value);
                }
            }
        }
        _ => {}
    }
}

fn mask_one(text: &[u8], out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut value = serde_json::from_slice(text)?;
    walk(&mut value);
    serde_json::to_writer(out, &value)
}

/// A body that ends with a line feed is NDJSON; the bodies here are one or the other.
fn mask(body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(body.len());
    if body.last() != Some(&b'\n') {
        mask_one(body, &mut out)?;
        return Ok(out);
    }
    for line in body.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        mask_one(line, &mut out)?;
        out.push(b'\n');
    }
    Ok(out)
}

fn answer(asked: Option<Asked>) -> Result<Option<Said>, Status> {
    Ok(match asked {
        Some(Asked::ResponseBody(body)) => {
            let masked = mask(&body.body).map_err(|_| Status::invalid_argument("not JSON"))?;
            Some(Said::ResponseBody(BodyResponse {
                response: Some(CommonResponse {
                    status: ResponseStatus::Continue as i32,
                    body_mutation: Some(BodyMutation { mutation: Some(Mutation::Body(masked.into())) }),
                    ..Default::default()
                }),
            }))
        }
        Some(Asked::ResponseHeaders(_)) => Some(Said::ResponseHeaders(HeadersResponse::default())),
        Some(Asked::RequestHeaders(_)) => Some(Said::RequestHeaders(HeadersResponse::default())),
        _ => None,
    })
}

#[tonic::async_trait]
impl ExternalProcessor for Masker {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let mut messages = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            while let Some(message) = messages.message().await? {
                if let Some(said) = answer(message.request)? {
                    yield ProcessingResponse { response: Some(said), ..Default::default() };
                }
            }
        })))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: extproc ADDRESS")?.parse()?;
    let service = ExternalProcessorServer::new(Masker)
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tonic::transport::Server::builder().add_service(service).serve(address))?;
    Ok(())
}

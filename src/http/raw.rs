//! Answers written straight to a socket, where there is no request that a handler could answer: more connections than
//! the limit, and bytes that hyper cannot read as a request.

use ::http::HeaderMap;

use super::error::Error;
use super::request_id::RequestId;

/// A whole HTTP/1.1 answer in the one error shape; the connection ends with it.
pub(super) fn answer(error: &Error) -> Vec<u8> {
    let id = RequestId::fresh();
    let body = error.body(id.as_str());
    let (status, _) = error.row();
    let mut head = format!("HTTP/1.1 {status}\r\n");
    let mut headers = HeaderMap::new();
    error.add_headers(&mut headers);
    for (name, value) in &headers {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    head.push_str(&format!(
        "content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nx-request-id: {}\r\n\r\n",
        body.len(),
        id.as_str(),
    ));
    let mut answer = head.into_bytes();
    answer.extend_from_slice(&body);
    answer
}

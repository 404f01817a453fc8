//! What Kafka believes a consumer group has read: asked and set in Kafka's own protocol.
//!
//! The node's library is of no use here, as it would join the group; four fields of two old requests are enough.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const OFFSET_COMMIT: (i16, i16) = (8, 2);
const OFFSET_FETCH: (i16, i16) = (9, 1);

/// The offset committed for a partition; `None` when there is none.
pub(crate) fn committed(broker: &str, group: &str, topic: &str, partition: u32) -> Option<i64> {
    let mut request = text(group);
    request.extend(place(topic, partition));
    let answer = ask(broker, OFFSET_FETCH, &request);
    let (offset, error) = (i64::from_be_bytes(field(&answer, at_partition(topic))), tail_error(&answer));
    assert_eq!(error, 0, "the broker refuses to tell");
    (offset >= 0).then_some(offset)
}

/// Commits an offset as a group's member might have.
pub(crate) fn commit(broker: &str, group: &str, topic: &str, partition: u32, offset: i64) {
    let mut request = text(group);
    request.extend((-1_i32).to_be_bytes());
    request.extend(text(""));
    request.extend((-1_i64).to_be_bytes());
    request.extend(place(topic, partition));
    request.extend(offset.to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    assert_eq!(tail_error(&ask(broker, OFFSET_COMMIT, &request)), 0, "the broker refuses to commit");
}

/// One topic with one partition, as both requests begin.
fn place(topic: &str, partition: u32) -> Vec<u8> {
    let one = 1_i32.to_be_bytes();
    [&one[..], &text(topic), &one[..], &partition.to_be_bytes()].concat()
}

/// Where in an answer the fields of its only partition begin.
fn at_partition(topic: &str) -> usize {
    let (correlation, topics, partitions, number) = (4, 4, 4, 4);
    correlation + topics + text(topic).len() + partitions + number
}

/// Both answers end with the error of their only partition.
fn tail_error(answer: &[u8]) -> i16 {
    i16::from_be_bytes(field(answer, answer.len() - 2))
}

/// One question in Kafka's own protocol; the answer without its size.
pub(crate) fn ask(broker: &str, (api, version): (i16, i16), body: &[u8]) -> Vec<u8> {
    let mut request = [api.to_be_bytes(), version.to_be_bytes()].concat();
    request.extend(7_i32.to_be_bytes());
    request.extend(text("edgefeed-test"));
    request.extend(body);
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// A string of the protocol.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}

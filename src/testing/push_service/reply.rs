//! From an answer to what a connection must do.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response};

use super::answer::Answer;
use super::checks::Body;
use super::flight::Flight;
use super::violation::Violation;

/// More than this of a body is not even read.
pub(super) const READ_LIMIT: usize = 1 << 20;

/// What a connection does about a request.
pub(super) enum Reply {
    /// Sends this.
    Whole(Response<Bytes>),
    /// Sends this, and takes no more requests on its connection.
    Last(Response<Bytes>),
    /// Sends this head, then a body that is not as it should be.
    Damaged(Response<()>, Damage),
    /// Ends without a status.
    Fail(Failure),
}

/// What is wrong with a body.
#[derive(Clone, Copy)]
pub(super) enum Damage {
    /// It ends in the middle, with the connection.
    Cut,
    /// It is very long.
    Huge(u64),
    /// It comes an octet at a time.
    Trickle(Duration, u64),
}

/// How a request fails.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Failure {
    Cut,
    Goaway,
    Refuse,
    Reset,
}

impl Answer {
    /// The failure that comes before the body is read.
    pub(super) const fn early(&self) -> Option<Failure> {
        match self {
            Self::RefuseStream => Some(Failure::Refuse),
            Self::Goaway => Some(Failure::Goaway),
            _ => None,
        }
    }
}

impl Flight {
    /// Answers a request whose body was read as far as it came.
    pub(super) async fn reply(&mut self, head: Parts, body: Result<Body, ()>) -> Reply {
        let latency = self.service.settings.latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        while let Answer::Delayed(wait, then) = &self.answer {
            let (wait, then) = (*wait, (**then).clone());
            tokio::time::sleep(wait).await;
            self.answer = then;
        }
        let reply = match &self.answer {
            Answer::Hang => pending().await,
            Answer::Response(response) => Reply::Whole(response.clone()),
            Answer::CutBeforeStatus => Reply::Fail(Failure::Cut),
            Answer::ResetStream => Reply::Fail(Failure::Reset),
            Answer::RefuseStream => Reply::Fail(Failure::Refuse),
            Answer::Goaway => Reply::Fail(Failure::Goaway),
            answer => self.judged(head, body, answer),
        };
        if !matches!(self.answer, Answer::Normal) {
            self.service.counts.scripted.add();
        }
        self.end();
        reply
    }

    fn judged(&self, head: Parts, body: Result<Body, ()>, answer: &Answer) -> Reply {
        let response = match body {
            Ok(body) => self.service.judge(head, body, self),
            Err(()) => self.service.refuse(Violation::BodyTruncated),
        };
        if !response.status().is_success() {
            return Reply::Whole(response);
        }
        match answer {
            Answer::AcceptAndClose => Reply::Last(response),
            Answer::AcceptWithReceipts => Reply::Whole(self.service.with_receipts(response, &self.target)),
            Answer::AcceptAndCut => Reply::Fail(Failure::Cut),
            Answer::CutAfterHeaders => Reply::Damaged(response.map(drop), Damage::Cut),
            Answer::HugeBody(octets) => Reply::Damaged(response.map(drop), Damage::Huge(*octets)),
            Answer::Trickle { every, octets } => {
                Reply::Damaged(response.map(drop), Damage::Trickle(*every, *octets))
            }
            Answer::HugeHeaders(octets) => Reply::Whole(with_filler(response, *octets)),
            _ => Reply::Whole(response),
        }
    }
}

/// Adds headers of about a thousand octets each.
fn with_filler(mut response: Response<Bytes>, octets: usize) -> Response<Bytes> {
    const LINE: usize = 1000;
    let filler = HeaderValue::try_from("x".repeat(LINE)).expect("letters can stand in a header");
    for _ in 0..octets.div_ceil(LINE) {
        response.headers_mut().append("x-filler", filler.clone());
    }
    response
}

//! One request through its run.

use ::http::request::Parts;
use ::http::{Request, Response};
use bytes::Bytes;
use ft_runtime::checkpoint::{Fingerprint as _, HTTP_FUNCTION, RunCall};
use ft_runtime::door::refused;
use ft_runtime::{Entered, Rejected};
use http_body::Body;
use tower_service::Service;

use super::Rules;
use super::body::{CheckpointBody, Read, read};
use super::future::Answer;
use super::problem::Problem;
use super::record::{Blob, Record};
use crate::oneshot::Oneshot;

/// How events name the policy.
const POLICY: &str = "checkpoint";

/// What a request needs to be carried out once.
pub(super) struct Exchange<S> {
    pub(super) rules: Rules,
    pub(super) entered: Option<Entered>,
    pub(super) service: S,
    pub(super) run: String,
}

/// A request that is not settled: what its caller gets, and what leaves its run open.
enum Open<R: Body, E> {
    Answered(Box<Response<CheckpointBody<R>>>),
    Failed(E),
    Refused(Rejected),
}

impl<R: Body, E> From<Rejected> for Open<R, E> {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(rejected)
    }
}

impl<S> Exchange<S> {
    pub(super) async fn carry_out<B, R>(self, head: Parts, body: B) -> Answer<R, S::Error>
    where
        S: Service<Request<CheckpointBody<B>>, Response = Response<R>>,
        B: Body,
        R: Body,
    {
        let Self { rules, entered, service, run } = self;
        let (body, trailers) = match read(body, rules.max_request).await {
            Read::Whole(body, trailers) => (body, trailers),
            Read::TooLong(_) => {
                return Ok(Problem::BodyTooLong { limit: rules.max_request }.answer(rules.docs));
            }
            Read::Broken(_) => return Ok(Problem::BodyBroken.answer(rules.docs)),
        };
        let session = rules.call(&run, &head, &body).calls::<Result<Record, Open<R, S::Error>>>();
        let session = match entered {
            Some(entered) => session.at(entered),
            None => session,
        };
        let request = Request::from_parts(head, CheckpointBody::whole(body, trailers));
        // Only the one who is carried out gets an answer here; all others have it from the record.
        let mut own = None;
        let execution = session.run(async {
            let (record, answer) = rules.execute(service, request).await?;
            own = Some(answer);
            Ok(record)
        });
        let outcome = match &rules.store {
            Some(store) => store.scope(execution).await,
            None => execution.await,
        };
        match (outcome, own) {
            (Ok(_), Some(answer)) => Ok(answer),
            (Ok(record), None) => Ok(record.replay().unwrap_or_else(|problem| problem.answer(rules.docs))),
            (Err(Open::Answered(answer)), _) => Ok(*answer),
            (Err(Open::Failed(error)), _) => Err(error),
            (Err(Open::Refused(rejected)), _) => {
                refused(rules.site, POLICY, Some(&run), &rejected);
                let mut answer = Problem::of(&rejected).answer(rules.docs);
                answer.extensions_mut().insert(rejected);
                Ok(answer)
            }
        }
    }
}

impl Rules {
    /// The run of this request: all of it that may not be another one under its key.
    fn call(&self, run: &str, head: &Parts, body: &Bytes) -> RunCall {
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let call = self.policy.run(run).named(HTTP_FUNCTION);
        call.argument("method", head.method.as_str().fingerprint().ok())
            .argument("path", target.fingerprint().ok())
            .argument("body", Blob(body.clone()).fingerprint().ok())
    }

    /// Has the service inside answer: the record, and what the caller gets.
    async fn execute<S, B, R>(
        &self,
        service: S,
        request: Request<CheckpointBody<B>>,
    ) -> Result<(Record, Response<CheckpointBody<R>>), Open<R, S::Error>>
    where
        S: Service<Request<CheckpointBody<B>>, Response = Response<R>>,
        B: Body,
        R: Body,
    {
        let (head, body) = Oneshot::new(service, request).await.map_err(Open::Failed)?.into_parts();
        if !(self.settles)(&head) {
            return Err(Open::Answered(Box::new(Response::from_parts(head, CheckpointBody::untouched(body)))));
        }
        let (record, body) = match read(body, self.max_answer).await {
            Read::Whole(body, trailers) => {
                let record = Record::of(&head, Some((&body, trailers.as_ref())));
                (record, CheckpointBody::whole(body, trailers))
            }
            Read::TooLong(body) => (Record::of(&head, None), body),
            Read::Broken(body) => return Err(Open::Answered(Box::new(Response::from_parts(head, body)))),
        };
        Ok((record, Response::from_parts(head, body)))
    }
}

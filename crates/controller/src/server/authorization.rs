//! Decides who may scrape. The API server identifies the user of a bearer token, and decides whether that user may
//! get `/metrics`.
//!
//! If the API server cannot be asked, the scrape is refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::clock;
use crate::error::Error;
use crate::kubernetes::with_call_timeout;

/// How long an answer is cached. A revoked permission ends within this time.
const KEPT: Duration = Duration::from_mins(1);

/// Maximum number of cached tokens.
const MAX_KEPT: usize = 1000;

/// The permission that a scraper needs.
const PATH: &str = "/metrics";
const VERB: &str = "get";

/// The challenge for a request without a token that the API server knows (RFC 6750, section 3).
pub(crate) const CHALLENGE: &str = r#"Bearer realm="secret-rotation-controller""#;

/// What is known about the user of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Allowed,
    /// The token is not valid.
    Unknown,
    /// The user of the token may not scrape.
    Forbidden,
}

/// Asks the API server, and caches its answers.
pub(super) struct ScrapeGate {
    client: Client,
    known: Mutex<AccessCache>,
    /// Whether the last question had no answer.
    unanswered: AtomicBool,
}

/// Passes a request on if its user may scrape.
pub(super) async fn guard(
    Extension(gate): Extension<Arc<ScrapeGate>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = bearer(request.headers()) else {
        return unknown();
    };
    match gate.access(token).await {
        Ok(Access::Allowed) => next.run(request).await,
        Ok(Access::Unknown) => unknown(),
        Ok(Access::Forbidden) => forbidden(),
        Err(_) => unavailable(),
    }
}

fn unknown() -> Response {
    let why = "this request needs a bearer token that the Kubernetes API server accepts\n";
    let challenge = [(header::WWW_AUTHENTICATE, CHALLENGE)];
    (StatusCode::UNAUTHORIZED, challenge, why).into_response()
}

fn forbidden() -> Response {
    let why = "the user of the token needs verb get on the non-resource URL /metrics\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

fn unavailable() -> Response {
    let why = "the Kubernetes API server did not answer whether the user may scrape\n";
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

/// Returns the token of an `Authorization` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl ScrapeGate {
    /// Creates a gate without cached answers.
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
            unanswered: AtomicBool::new(false),
        }
    }

    async fn access(&self, token: &str) -> Result<Access, Error> {
        let fingerprint = Fingerprint::of(token);
        if let Some(access) = self.lock().get(&fingerprint, clock::now()) {
            return Ok(access);
        }
        let answer = self.review(token).await;
        let failed = answer.is_err();
        if self.unanswered.swap(failed, Ordering::Relaxed) != failed {
            match &answer {
                Ok(_) => tracing::info!("authorization of scrapers recovered"),
                Err(error) => tracing::warn!(%error, "scrapes refused: authorization failed"),
            }
        }
        let access = answer?;
        self.lock().insert(fingerprint, access, clock::now());
        Ok(access)
    }

    async fn review(&self, token: &str) -> Result<Access, Error> {
        let Some(user) = self.authenticate(token).await? else {
            return Ok(Access::Unknown);
        };
        let name = user.username.clone().unwrap_or_default();
        if self.may_scrape(user).await? {
            return Ok(Access::Allowed);
        }
        tracing::info!(user = name, "scrape refused");
        Ok(Access::Forbidden)
    }

    /// Returns the user of a token, or `None` if the token is not valid.
    async fn authenticate(&self, token: &str) -> Result<Option<UserInfo>, Error> {
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: None,
            },
            ..TokenReview::default()
        };
        let answer = with_call_timeout(reviews.create(&PostParams::default(), &review)).await?;
        let status = answer.status.unwrap_or_default();
        Ok(status.user.filter(|_| status.authenticated == Some(true)))
    }

    async fn may_scrape(&self, user: UserInfo) -> Result<bool, Error> {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(PATH.to_owned()),
                    verb: Some(VERB.to_owned()),
                }),
                resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let answer = with_call_timeout(reviews.create(&PostParams::default(), &review)).await?;
        Ok(answer
            .status
            .is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    fn lock(&self) -> MutexGuard<'_, AccessCache> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash that stands for a token. The token itself is never stored.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// The cached verdicts.
#[derive(Default)]
struct AccessCache {
    answers: BTreeMap<Fingerprint, (Instant, Access)>,
}

impl AccessCache {
    fn get(&self, fingerprint: &Fingerprint, now: Instant) -> Option<Access> {
        let (since, access) = self.answers.get(fingerprint)?;
        (now.saturating_duration_since(*since) < KEPT).then_some(*access)
    }

    /// Caches a verdict. At the maximum, the oldest verdict is removed.
    fn insert(&mut self, fingerprint: Fingerprint, access: Access, now: Instant) {
        self.answers
            .retain(|_, (since, _)| now.saturating_duration_since(*since) < KEPT);
        while self.answers.len() >= MAX_KEPT {
            let oldest = self.answers.iter().min_by_key(|(_, (since, _))| *since);
            let Some(oldest) = oldest.map(|(fingerprint, _)| fingerprint.clone()) else {
                break;
            };
            self.answers.remove(&oldest);
        }
        self.answers.insert(fingerprint, (now, access));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware;
    use axum::routing::get;
    use http::{Request as HttpRequest, Response as HttpResponse};
    use kube::client::Body as KubeBody;
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn an_allowed_user_passes_and_is_reviewed_once_a_minute() {
        tokio::time::pause();
        let (api, gate) = stage(200);
        for _ in 0..3 {
            assert_eq!(scrape(&gate, Some("Bearer good")).await, StatusCode::OK);
        }
        assert_eq!(api.asked(), ["tokenreviews", "subjectaccessreviews"]);
        tokio::time::advance(KEPT).await;
        assert_eq!(scrape(&gate, Some("bearer good")).await, StatusCode::OK);
        assert_eq!(api.asked().len(), 4);
    }

    #[tokio::test]
    async fn the_whole_user_is_passed_on() {
        let (api, gate) = stage(200);
        scrape(&gate, Some("Bearer good")).await;
        let bodies = api.bodies();
        assert_eq!(bodies[0]["spec"], json!({"token": "good"}));
        assert_eq!(
            bodies[1]["spec"],
            json!({
                "user": "prometheus", "uid": "u1", "groups": ["scrapers"], "extra": {"pod": ["p"]},
                "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
            })
        );
    }

    #[tokio::test]
    async fn a_request_without_a_known_token_is_answered_with_401() {
        let (api, gate) = stage(200);
        for header in [
            None,
            Some("Basic good"),
            Some("Bearer "),
            Some("Bearer bad"),
        ] {
            let answer = answer(&gate, header).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{header:?}");
            assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], CHALLENGE);
        }
        assert_eq!(api.asked(), ["tokenreviews"], "only about a token");
    }

    #[tokio::test]
    async fn a_user_who_may_not_scrape_is_refused() {
        let (_api, gate) = stage(200);
        assert_eq!(
            scrape(&gate, Some("Bearer poor")).await,
            StatusCode::FORBIDDEN
        );
    }

    #[tokio::test]
    async fn no_request_passes_while_the_api_server_does_not_answer() {
        tokio::time::pause();
        for broken in [403, 500, 0] {
            let (api, gate) = stage(broken);
            for _ in 0..2 {
                let status = scrape(&gate, Some("Bearer good")).await;
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{broken}");
            }
            assert_eq!(api.asked().len(), 2, "no failure is remembered");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_verdict_is_removed_when_the_cache_is_full() {
        let mut known = AccessCache::default();
        for number in 0..=MAX_KEPT {
            tokio::time::advance(Duration::from_millis(1)).await;
            let fingerprint = Fingerprint::of(&number.to_string());
            known.insert(fingerprint, Access::Allowed, clock::now());
        }
        assert_eq!(known.answers.len(), MAX_KEPT);
        let recalled = |token| known.get(&Fingerprint::of(token), clock::now());
        assert_eq!(
            (recalled("0"), recalled("1")),
            (None, Some(Access::Allowed))
        );
    }

    async fn scrape(gate: &Arc<ScrapeGate>, header: Option<&str>) -> StatusCode {
        answer(gate, header).await.status()
    }

    async fn answer(gate: &Arc<ScrapeGate>, header: Option<&str>) -> Response {
        let router = Router::new()
            .route("/metrics", get(|| async { "series" }))
            .layer(middleware::from_fn(guard))
            .layer(Extension(Arc::clone(gate)));
        let mut request = HttpRequest::get("/metrics");
        if let Some(header) = header {
            request = request.header(header::AUTHORIZATION, header);
        }
        let request = request.body(Body::empty()).expect("a request");
        router.oneshot(request).await.expect("an answer")
    }

    /// Returns an API server that answers reviews with this status. With 0 it does not answer at all.
    fn stage(status: u16) -> (Arc<ApiServer>, Arc<ScrapeGate>) {
        let api = Arc::new(ApiServer {
            status,
            ..ApiServer::default()
        });
        let serving = Arc::clone(&api);
        let service = tower::service_fn(move |request: HttpRequest<KubeBody>| {
            let serving = Arc::clone(&serving);
            async move { Ok::<_, Infallible>(serving.answer(request).await) }
        });
        let gate = ScrapeGate::new(Client::new(service, "default"));
        (api, Arc::new(gate))
    }

    #[derive(Default)]
    struct ApiServer {
        status: u16,
        count: AtomicUsize,
        seen: Mutex<Vec<(String, Value)>>,
    }

    impl ApiServer {
        fn asked(&self) -> Vec<String> {
            let seen = self.seen.lock().expect("the list");
            assert_eq!(seen.len(), self.count.load(Ordering::Relaxed));
            seen.iter().map(|(what, _)| what.clone()).collect()
        }

        fn bodies(&self) -> Vec<Value> {
            let seen = self.seen.lock().expect("the list");
            seen.iter().map(|(_, body)| body.clone()).collect()
        }

        async fn answer(&self, request: HttpRequest<KubeBody>) -> HttpResponse<KubeBody> {
            self.count.fetch_add(1, Ordering::Relaxed);
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.expect("a whole body");
            let mut review: Value = serde_json::from_slice(&body).expect("JSON");
            let what = head.uri.path().rsplit('/').next().unwrap_or_default();
            let seen = (what.to_owned(), review.clone());
            self.seen.lock().expect("the list").push(seen);
            if self.status == 0 {
                std::future::pending::<()>().await;
            }
            review["status"] = access(&review["spec"]);
            if self.status != 200 {
                review = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status, "reason": "x", "message": "x"});
            }
            HttpResponse::builder()
                .status(self.status)
                .body(KubeBody::from(review.to_string().into_bytes()))
                .expect("an answer")
        }
    }

    /// Knows the tokens `good` and `poor`, and allows `prometheus` to scrape.
    fn access(spec: &Value) -> Value {
        let user = |name| json!({"authenticated": true, "user": {"username": name, "uid": "u1", "groups": ["scrapers"], "extra": {"pod": ["p"]}}});
        match (spec["token"].as_str(), spec["user"].as_str()) {
            (Some("good"), _) => user("prometheus"),
            (Some("poor"), _) => user("somebody"),
            (Some(_), _) => json!({"authenticated": false, "error": "invalid bearer token"}),
            (None, Some("prometheus")) => json!({"allowed": true}),
            (None, _) => json!({"allowed": false}),
        }
    }
}

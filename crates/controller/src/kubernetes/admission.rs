//! Whether the API server enforces the admission policies for decisions about operations, and since when without a
//! gap.
//!
//! The current state of the policies proves nothing about a minute ago: a binding that was set to Audit and back
//! looks as it did before, and `managedFields` does not show what was added and removed again. But each change of a
//! spec raises the generation of the object, and an object that was created again has another UID. So the six pairs
//! of UID and generation are remembered together with the time since when they are known. Anything that differs from
//! them counts only from the time when it was noticed. They are stored in the Lease, so that they outlive this
//! process.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{Api, Client, Resource};
use secret_rotation_api::admission_policies::{self, Defect};
use secret_rotation_core::consent::Admission;
use secret_rotation_core::time::ServerTime;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::kubernetes::with_call_timeout;
use crate::lease::LeaseNote;

/// The names under which `deploy/admission` installs the policies that guard approvals, profiles and status, and
/// their bindings.
pub(crate) const GUARDS: [&str; 3] = admission_policies::NAMES;

/// Identifies the specs of all policies and bindings, as an API server shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpecMarks {
    /// The UID and generation of each policy and binding.
    text: String,
    /// When the last of them was created, if none has changed since.
    created: Option<ServerTime>,
}

/// What is known of the admission policies.
#[derive(Debug)]
pub(crate) struct AdmissionView {
    /// The marks and since when they are known, for the next holder of the lease.
    note: Arc<LeaseNote>,
    seen: Mutex<Option<Admission>>,
}

impl AdmissionView {
    /// Creates a view that knows only what the note states.
    pub(crate) const fn new(note: Arc<LeaseNote>) -> Self {
        Self {
            note,
            seen: Mutex::new(None),
        }
    }

    /// Returns what the last look saw, if there was one. It is good enough for a message, but an approval must never be acted on
    /// because of it.
    pub(crate) fn seen(&self) -> Option<Admission> {
        self.lock().clone()
    }

    /// Reads the policies by quorum, which an approval needs. `now` returns the time of the API server.
    ///
    /// # Errors
    ///
    /// Returns an error if a request to the API server fails, or if its time is not known.
    pub(crate) async fn look(
        &self,
        client: &Client,
        now: impl FnOnce() -> Result<ServerTime, Error>,
    ) -> Result<Admission, Error> {
        // Read the time after the policies: whatever changed them came before.
        let since = |marks: &SpecMarks| Ok(self.since(marks, now()?));
        let admission = enforced(client, since).await?;
        *self.lock() = Some(admission.clone());
        Ok(admission)
    }

    /// Returns since when the policies certainly have been as they are now.
    fn since(&self, marks: &SpecMarks, now: ServerTime) -> ServerTime {
        let known = self.note.get().and_then(|note| noted_time(&note, marks));
        let since = known.or(marks.created).unwrap_or(now);
        if known.is_none() {
            self.note.set(format!("{since} {}", marks.text));
        }
        since
    }

    fn lock(&self) -> MutexGuard<'_, Option<Admission>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time in the note, if it is about these marks.
fn noted_time(note: &str, marks: &SpecMarks) -> Option<ServerTime> {
    let (since, text) = note.split_once(' ')?;
    let since: Timestamp = since.parse().ok()?;
    (text == marks.text).then(|| ServerTime::new(since))
}

/// Reads the policies and their bindings by quorum. `since` returns since when they have been as they are.
pub(crate) async fn enforced(
    client: &Client,
    since: impl FnOnce(&SpecMarks) -> Result<ServerTime, Error>,
) -> Result<Admission, Error> {
    let mut marks = Vec::new();
    let mut created = Some(ServerTime::new(Timestamp::MIN));
    for name in GUARDS {
        let policy = match look_up::<ValidatingAdmissionPolicy>(client, name).await? {
            Lookup::Object(policy) => policy,
            Lookup::Nothing(admission) => return Ok(admission),
        };
        let binding = match look_up::<ValidatingAdmissionPolicyBinding>(client, name).await? {
            Lookup::Object(binding) => binding,
            Lookup::Nothing(admission) => return Ok(admission),
        };
        match admission_policies::defect(name, &policy, &binding) {
            Some(Defect::Weak(what)) => return Ok(Admission::Missing { what }),
            Some(Defect::OtherVersion(what)) => return Ok(Admission::OtherVersion { what }),
            None => {}
        }
        marks.extend([spec_mark(&policy), spec_mark(&binding)]);
        for unchanged in [unchanged(&policy), unchanged(&binding)] {
            created = created.zip(unchanged).map(|(last, this)| last.max(this));
        }
    }
    let marks = SpecMarks {
        text: marks.join(","),
        created,
    };
    Ok(Admission::Enforced {
        since: since(&marks)?,
    })
}

/// Returns what no other spec of the object has: its UID and generation.
fn spec_mark<K: Resource>(object: &K) -> String {
    let meta = object.meta();
    let uid = meta.uid.as_deref().unwrap_or_default();
    format!("{uid}/{}", meta.generation.unwrap_or_default())
}

/// Returns when an object was created, if its spec has never changed.
fn unchanged<K: Resource>(object: &K) -> Option<ServerTime> {
    let meta = object.meta();
    let created = meta.creation_timestamp.as_ref()?;
    (meta.generation == Some(1)).then(|| ServerTime::new(created.0))
}

/// An object, or what its absence means.
enum Lookup<K> {
    Object(K),
    Nothing(Admission),
}

/// Reads an object. A refusal for lack of permission is an answer and not an error: it may last, and those who wait
/// for an approval must be informed.
async fn look_up<K>(client: &Client, name: &str) -> Result<Lookup<K>, Error>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug,
{
    let what = format!("{} {name}", K::kind(&()));
    let api: Api<K> = Api::all(client.clone());
    match with_call_timeout(api.get_opt(name)).await {
        Ok(Some(object)) => Ok(Lookup::Object(object)),
        Ok(None) => Ok(Lookup::Nothing(Admission::Missing {
            what: format!("{what} does not exist"),
        })),
        Err(Error::Kubernetes { code: 403, .. }) => {
            Ok(Lookup::Nothing(Admission::Unreadable { what }))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = GUARDS[0];

    fn time(text: &str) -> ServerTime {
        ServerTime::new(text.parse().expect("a time"))
    }

    fn marks(text: &str, created: Option<&str>) -> SpecMarks {
        SpecMarks {
            text: text.to_owned(),
            created: created.map(time),
        }
    }

    /// Returns a time at this full hour.
    fn at(hour: u8) -> ServerTime {
        time(&format!("2026-11-01T{hour:02}:00:00Z"))
    }

    #[test]
    fn policies_that_never_changed_are_enforced_since_their_creation() {
        let view = AdmissionView::new(Arc::default());
        let new = marks("a/1,b/1", Some("2026-11-01T01:00:00Z"));
        assert_eq!(view.since(&new, at(5)), at(1));
        assert_eq!(view.since(&new, at(9)), at(1));
    }

    #[test]
    fn policies_that_changed_are_enforced_since_the_change_was_noticed() {
        let view = AdmissionView::new(Arc::default());
        let first = marks("a/1,b/1", Some("2026-11-01T01:00:00Z"));
        view.since(&first, at(2));
        // A condition that was added and removed again: the spec is as before, but its generation is not.
        let back = marks("a/1,b/3", None);
        assert_eq!(view.since(&back, at(5)), at(5));
        assert_eq!(view.since(&back, at(9)), at(5), "it is remembered");
        // Deleted and created again, within the same second as the first time.
        let again = marks("a/1,c/1", Some("2026-11-01T01:00:00Z"));
        assert_eq!(view.since(&again, at(10)), at(1), "its creation shows that");
    }

    #[test]
    fn the_note_of_another_replica_is_used_for_the_marks_that_it_knew_and_for_no_others() {
        let note: Arc<LeaseNote> = Arc::default();
        let changed = marks("a/1,b/3", None);
        assert_eq!(
            AdmissionView::new(Arc::clone(&note)).since(&changed, at(5)),
            at(5)
        );
        let next = AdmissionView::new(note);
        assert_eq!(next.since(&changed, at(9)), at(5));
        assert_eq!(next.since(&marks("a/1,b/5", None), at(10)), at(10));
        for nonsense in ["", "x", "x a/1,b/3", "2026-11-01T01:00:00Z"] {
            let note: Arc<LeaseNote> = Arc::default();
            note.set(nonsense.to_owned());
            assert_eq!(
                AdmissionView::new(note).since(&changed, at(9)),
                at(9),
                "{nonsense}"
            );
        }
    }

    #[test]
    fn an_object_is_unchanged_only_in_its_first_generation() {
        let of = |meta: &Value| {
            let binding: ValidatingAdmissionPolicyBinding =
                serde_json::from_value(json!({"metadata": meta})).expect("a binding");
            (spec_mark(&binding), unchanged(&binding))
        };
        let created = "2026-11-01T01:00:00Z";
        let meta = json!({"uid": "u", "generation": 1, "creationTimestamp": created});
        assert_eq!(of(&meta), ("u/1".to_owned(), Some(at(1))));
        let meta = json!({"uid": "u", "generation": 3, "creationTimestamp": created});
        assert_eq!(of(&meta), ("u/3".to_owned(), None));
        assert_eq!(of(&json!({"uid": "u", "generation": 1})).1, None);
    }

    /// With the permissions of an older release the operation waits and reports it, instead of being retried
    /// silently.
    #[tokio::test]
    async fn a_forbidden_read_is_an_answer_and_a_failed_one_is_an_error() {
        let answer = answering(403, "Forbidden").await.expect("an answer");
        let what = format!("ValidatingAdmissionPolicy {NAME}");
        assert_eq!(answer, Admission::Unreadable { what });
        let answer = answering(404, "NotFound").await.expect("an answer");
        let what = format!("ValidatingAdmissionPolicy {NAME} does not exist");
        assert_eq!(answer, Admission::Missing { what });
        assert!(answering(500, "InternalError").await.is_err());
    }

    async fn answering(code: u16, reason: &str) -> Result<Admission, Error> {
        let status = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no",
        });
        let respond = move |_: http::Request<kube::client::Body>| {
            let body = kube::client::Body::from(status.to_string().into_bytes());
            let response = http::Response::builder().status(code).body(body);
            std::future::ready(response)
        };
        let client = Client::new(tower::service_fn(respond), "default");
        enforced(&client, |_| Ok(at(1))).await
    }
}

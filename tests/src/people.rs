//! The permissions of the users of a story, as RBAC objects.

use serde_json::{Value, json};

use crate::Story;
use crate::story::TEAM;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The prefix of the user names of `ServiceAccounts`.
const ACCOUNT: &str = "system:serviceaccount:";

/// Returns a role of [`TEAM`] with one rule.
pub fn role(name: &str, groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "Role",
        "metadata": {"name": name, "namespace": TEAM},
        "rules": [{"apiGroups": groups, "resources": resources, "verbs": verbs}],
    })
}

/// Binds users to a role of [`TEAM`].
pub fn bound(name: &str, role: &str, people: &[&str]) -> Value {
    binding("RoleBinding", name, "Role", role, people)
}

/// Binds users to a cluster role in [`TEAM`] only.
pub fn bound_here(name: &str, role: &str, people: &[&str]) -> Value {
    binding("RoleBinding", name, "ClusterRole", role, people)
}

/// Binds users to a cluster role in all namespaces.
pub fn bound_everywhere(name: &str, role: &str, people: &[&str]) -> Value {
    binding("ClusterRoleBinding", name, "ClusterRole", role, people)
}

fn binding(kind: &str, name: &str, role_kind: &str, role: &str, people: &[&str]) -> Value {
    let mut metadata = json!({"name": name});
    if kind == "RoleBinding" {
        metadata["namespace"] = json!(TEAM);
    }
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role},
        "subjects": people.iter().map(|name| subject(name)).collect::<Vec<_>>(),
    })
}

fn subject(name: &str) -> Value {
    let account = name.strip_prefix(ACCOUNT);
    match account.and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => {
            json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
        }
        None => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
    }
}

impl Story {
    /// Applies roles and bindings.
    pub fn allow(&self, roles: &[Value]) {
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": roles}));
    }
}

//! Names of automatic operations. The same inputs always make the same name, so creating an operation twice is
//! harmless.

use uuid::Uuid;

use crate::names::{Arn, ObjectName, VersionId};
use crate::policy::Policy;

/// The namespace of the UUIDs whose bits become the suffix of a name.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f6b_91c4_0d1e_4c57_a3aa_8e10_6d54_be02);

const ALPHABET: [char; 32] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u',
    'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7', '8', '9',
];

/// Returns `<policy>-<10 characters>` for the n-th operation of a policy about one version of one secret.
pub fn automatic(
    policy: &Policy,
    arn: &Arn,
    version: &VersionId,
    sequence: usize,
) -> Option<ObjectName> {
    let text = format!("{}\n{arn}\n{version}\n{sequence}", policy.uid);
    let bits = Uuid::new_v5(&NAMESPACE, text.as_bytes()).as_u128();
    let suffix: String = (0..10)
        .filter_map(|place| ALPHABET.get(usize::try_from(bits >> (place * 5) & 31).ok()?))
        .collect();
    ObjectName::parse(format!("{}-{suffix}", policy.key.name)).ok()
}

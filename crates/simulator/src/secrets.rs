//! All secrets, in the orders in which they are looked up and listed.
//!
//! A page of a list costs what it returns, whatever the number of secrets. So each order is kept, not computed. Positions
//! are keys, so secrets that are created or deleted between two pages neither hide nor repeat others.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Bound;

use crate::arn::{Arn, ByName, split};
use crate::model::Secret;

/// All secrets of all accounts and regions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// The secrets by row. A deleted secret leaves an empty row, which the next new secret takes.
    rows: Vec<Option<Secret>>,
    vacant: Vec<u32>,
    scopes: BTreeMap<String, Scope>,
}

/// The secrets of one account in one region.
#[derive(Clone, Debug, Default)]
struct Scope {
    by_name: BTreeMap<ByName, u32>,
    by_creation: BTreeMap<Creation, u32>,
}

/// The position of a secret in the order of creation: milliseconds, then the ARN.
pub(crate) type Creation = (i64, Arn);

impl Secrets {
    /// Finds a secret by its ARN.
    pub(crate) fn get(&self, arn: &str) -> Option<&Secret> {
        self.row(self.find(&Arn::parse(arn)?)?)
    }

    /// Finds a secret by its ARN, for a change of anything but its ARN and date of creation.
    pub(crate) fn get_mut(&mut self, arn: &str) -> Option<&mut Secret> {
        let row = self.find(&Arn::parse(arn)?)?;
        self.rows.get_mut(index(row))?.as_mut()
    }

    pub(crate) fn contains_key(&self, arn: &str) -> bool {
        self.get(arn).is_some()
    }

    fn find(&self, arn: &Arn) -> Option<u32> {
        let scope = self.scopes.get(arn.scope())?;
        scope.by_name.get(&ByName(arn.clone())).copied()
    }

    fn row(&self, row: u32) -> Option<&Secret> {
        self.rows.get(index(row))?.as_ref()
    }

    /// Adds a secret. It replaces one with the same ARN.
    pub(crate) fn insert(&mut self, secret: Secret) {
        self.remove(&secret.arn);
        let (name, creation) = keys(&secret);
        let (row, scope) = (self.store(secret), name.0.scope().to_owned());
        let scope = self.scopes.entry(scope).or_default();
        scope.by_name.insert(name, row);
        scope.by_creation.insert(creation, row);
    }

    /// Adds many secrets that do not exist yet. Faster and denser than adding each, but it touches all orders once.
    pub(crate) fn extend(&mut self, secrets: Vec<Secret>) {
        self.rows.reserve_exact(secrets.len());
        let mut new: BTreeMap<String, (Vec<_>, Vec<_>)> = BTreeMap::new();
        for secret in secrets {
            let (name, creation) = keys(&secret);
            let row = self.store(secret);
            if !new.contains_key(name.0.scope()) {
                new.insert(name.0.scope().to_owned(), <(Vec<_>, Vec<_>)>::default());
            }
            if let Some((names, creations)) = new.get_mut(name.0.scope()) {
                names.push((name, row));
                creations.push((creation, row));
            }
        }
        for (scope, (names, creations)) in new {
            let scope = self.scopes.entry(scope).or_default();
            scope.by_name.append(&mut names.into_iter().collect());
            let mut creations = creations.into_iter().collect();
            scope.by_creation.append(&mut creations);
        }
    }

    /// Stores a secret in a vacant row or in a new one.
    fn store(&mut self, secret: Secret) -> u32 {
        if let Some(row) = self.vacant.pop() {
            self.rows[index(row)] = Some(secret);
            return row;
        }
        self.rows.push(Some(secret));
        u32::try_from(self.rows.len() - 1).expect("memory holds less than 4 billion secrets")
    }

    /// Removes a secret and returns it.
    pub(crate) fn remove(&mut self, arn: &str) -> Option<Secret> {
        let row = self.find(&Arn::parse(arn)?)?;
        let secret = self.rows.get_mut(index(row))?.take()?;
        self.vacant.push(row);
        let (name, creation) = keys(&secret);
        let scope = self.scopes.get_mut(secret.arn.scope())?;
        scope.by_name.remove(&name);
        scope.by_creation.remove(&creation);
        Some(secret)
    }

    /// Returns the number of secrets.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() - self.vacant.len()
    }

    /// Returns all secrets, in no useful order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Secret> {
        self.rows.iter().flatten()
    }

    /// Returns all secrets for a change of anything but their ARNs and dates of creation, in no useful order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Secret> {
        self.rows.iter_mut().flatten()
    }

    /// Finds the secret with a name in a scope.
    pub(crate) fn named(&self, scope: &str, name: &str) -> Option<&Secret> {
        let mut found = self.beginning_with(scope, name);
        found.next().filter(|secret| secret.name() == name)
    }

    /// Finds a secret with a name in any account and region.
    pub(crate) fn named_anywhere(&self, name: &str) -> Option<&Secret> {
        self.scopes.keys().find_map(|scope| self.named(scope, name))
    }

    /// Finds a secret by an ARN without its last hyphen and six characters.
    pub(crate) fn by_partial_arn(&self, id: &str) -> Option<&Secret> {
        let (scope, name) = split(id)?;
        self.named(scope, name)
    }

    /// Returns the secrets of a scope whose names begin with a prefix, in the order of names.
    pub(crate) fn beginning_with(
        &self,
        scope: &str,
        prefix: &str,
    ) -> impl Iterator<Item = &Secret> {
        let names = self.scopes.get(scope).map(|scope| &scope.by_name);
        let start = ByName::start_of(scope, prefix);
        let rows = names
            .into_iter()
            .flat_map(move |names| names.range(start.clone()..));
        let found = rows.filter_map(|(_, row)| self.row(*row));
        found.take_while(move |secret| secret.name().starts_with(prefix))
    }

    /// Returns the secrets of a scope behind a position in the order of names, or of names backwards.
    pub(crate) fn by_name<'a>(
        &'a self,
        scope: &str,
        position: Option<Arn>,
        backwards: bool,
    ) -> Box<dyn Iterator<Item = &'a Secret> + 'a> {
        let order = self.scopes.get(scope).map(|scope| &scope.by_name);
        self.behind(order, position.map(ByName), backwards)
    }

    /// Returns the secrets of a scope behind a position in the order of creation, or of creation backwards.
    pub(crate) fn by_creation<'a>(
        &'a self,
        scope: &str,
        position: Option<Creation>,
        backwards: bool,
    ) -> Box<dyn Iterator<Item = &'a Secret> + 'a> {
        let order = self.scopes.get(scope).map(|scope| &scope.by_creation);
        self.behind(order, position, backwards)
    }

    fn behind<'a, K: Ord + 'a>(
        &'a self,
        order: Option<&'a BTreeMap<K, u32>>,
        position: Option<K>,
        backwards: bool,
    ) -> Box<dyn Iterator<Item = &'a Secret> + 'a> {
        let Some(order) = order else {
            return Box::new(iter::empty());
        };
        let position = position.map_or(Bound::Unbounded, Bound::Excluded);
        if backwards {
            let rows = order.range((Bound::Unbounded, position)).rev();
            Box::new(rows.filter_map(|(_, row)| self.row(*row)))
        } else {
            let rows = order.range((position, Bound::Unbounded));
            Box::new(rows.filter_map(|(_, row)| self.row(*row)))
        }
    }

    /// Returns the secrets of a scope, in the order of names.
    pub(crate) fn within(&self, scope: &str) -> impl Iterator<Item = &Secret> {
        self.by_name(scope, None, false)
    }

    /// Returns the number of secrets of a scope.
    pub(crate) fn count(&self, scope: &str) -> usize {
        self.scopes
            .get(scope)
            .map_or(0, |scope| scope.by_name.len())
    }
}

fn keys(secret: &Secret) -> (ByName, Creation) {
    (ByName(secret.arn.clone()), creation(secret))
}

/// Returns the position of a secret in the order of creation.
pub(crate) fn creation(secret: &Secret) -> Creation {
    (secret.created.as_millisecond(), secret.arn.clone())
}

fn index(row: u32) -> usize {
    usize::try_from(row).expect("a usize has at least 32 bits")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const SCOPE: &str = "eu-west-1:111122223333";

    fn secret(name: &str, created: i64) -> Secret {
        let created = Timestamp::from_second(created).unwrap();
        Secret::blank(Arn::new(SCOPE, name, "AbCdEf"), created)
    }

    fn estate() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.extend(vec![secret("b", 1), secret("a-1", 2), secret("c", 0)]);
        secrets.insert(secret("a", 3));
        secrets
    }

    fn names<'a>(found: impl Iterator<Item = &'a Secret>) -> Vec<&'a str> {
        found.map(Secret::name).collect()
    }

    #[test]
    fn secrets_have_two_orders_in_both_directions() {
        let all = estate();
        assert_eq!(
            names(all.by_name(SCOPE, None, false)),
            ["a", "a-1", "b", "c"]
        );
        assert_eq!(
            names(all.by_creation(SCOPE, None, true)),
            ["a", "a-1", "b", "c"]
        );
        let position = Some(creation(&secret("b", 1)));
        assert_eq!(
            names(all.by_creation(SCOPE, position.clone(), false)),
            ["a-1", "a"]
        );
        assert_eq!(names(all.by_creation(SCOPE, position, true)), ["c"]);
        assert_eq!(names(all.by_name("eu-west-1:0", None, false)), [""; 0]);
    }

    #[test]
    fn a_position_outlives_its_secret() {
        let mut all = estate();
        let position = secret("b", 1).arn;
        all.remove(&position);
        assert_eq!(names(all.by_name(SCOPE, Some(position), false)), ["c"]);
    }

    #[test]
    fn secrets_are_found_by_arn_partial_arn_name_and_prefix() {
        let all = estate();
        let arn = &secret("a", 3).arn;
        let partial = &arn[..arn.len() - 7];
        assert_eq!(names(all.get(arn).into_iter()), ["a"]);
        assert_eq!(names(all.by_partial_arn(partial).into_iter()), ["a"]);
        assert_eq!(names(all.named_anywhere("a-1").into_iter()), ["a-1"]);
        assert_eq!(names(all.beginning_with(SCOPE, "a")), ["a", "a-1"]);
        assert_eq!(names(all.named(SCOPE, "a-").into_iter()), [""; 0]);
    }

    #[test]
    fn the_row_of_a_removed_secret_is_used_again() {
        let mut all = estate();
        all.remove(&secret("a", 3).arn);
        all.insert(secret("d", 9));
        assert_eq!((all.len(), all.rows.len(), all.count(SCOPE)), (4, 4, 4));
        assert_eq!(
            names(all.by_creation(SCOPE, None, false)),
            ["c", "b", "a-1", "d"]
        );
    }
}

//! What a sweeper was asked for since it last ran: a look at everything, or at some secrets only.

use std::collections::BTreeSet;

use secret_rotation_core::identity::Arn;

/// More secrets than this are cheaper to see in a whole sweep.
const MAX_SECRETS: usize = 100;

/// What was asked for in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    everything: bool,
    secrets: BTreeSet<Arn>,
}

impl Wishes {
    /// Somebody wants a whole sweep.
    pub(super) fn want_everything(&mut self) {
        self.everything = true;
    }

    /// Something may have happened to one secret.
    pub(super) fn hint(&mut self, secret: Arn) {
        self.secrets.insert(secret);
        self.everything |= self.secrets.len() > MAX_SECRETS;
    }

    /// The secrets that are to be looked at, if they are all that is to be looked at.
    pub(super) fn secrets_only(self) -> Option<BTreeSet<Arn>> {
        (!self.everything && !self.secrets.is_empty()).then_some(self.secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(number: usize) -> Arn {
        Arn::parse(format!(
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:s{number}-AbCdEf"
        ))
        .expect("an ARN")
    }

    #[test]
    fn hints_are_followed_unless_a_whole_sweep_is_wanted_too() {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.clone().secrets_only(), None, "nobody asked");
        wishes.hint(secret(1));
        wishes.hint(secret(1));
        assert_eq!(wishes.clone().secrets_only(), Some([secret(1)].into()));
        wishes.want_everything();
        assert_eq!(wishes.secrets_only(), None);
    }

    #[test]
    fn a_flood_of_hints_is_one_sweep() {
        let mut wishes = Wishes::default();
        (0..100).for_each(|number| wishes.hint(secret(number)));
        assert_eq!(
            wishes.clone().secrets_only().map(|secrets| secrets.len()),
            Some(100)
        );
        wishes.hint(secret(100));
        assert_eq!(wishes.secrets_only(), None);
    }
}

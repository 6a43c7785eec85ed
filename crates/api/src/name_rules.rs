//! Rules that refuse texts that cannot be names of secrets, with messages that say what to write instead.
//!
//! They apply to new and changed values: an API server does not check stored values that stay unchanged.

use serde_json::Value;

use crate::schema::explained;

/// The characters that AWS allows in names, and `!`, which appears in the names of secrets that other services
/// manage.
const NAME: &str = "^[A-Za-z0-9/_+=.@!-]+$";

const CHARACTERS: &str = "write ASCII letters, digits and / _ + = . @ ! -";

/// Returns the rules for a list of exact names.
pub(crate) fn names() -> Vec<Value> {
    let held = "name.substring(name.lastIndexOf(':') + 1, size(name) - 7)";
    let advice = format!(
        "!name.startsWith('arn:') ? 'no secret can have the name ' + name + ': {CHARACTERS}' \
         : name.matches('-[A-Za-z0-9]{{6}}$') ? 'write the name ' + {held} + ' instead of the ARN, whose last 6 characters are no part of the name' \
         : 'write the name ' + name.substring(name.lastIndexOf(':') + 1) + ' instead of the ARN'"
    );
    vec![explained(
        &format!("self.all(name, name.matches('{NAME}'))"),
        &format!("write names of secrets, not ARNs or patterns: {CHARACTERS}"),
        &format!("self.filter(name, !name.matches('{NAME}')).map(name, {advice})[0]"),
    )]
}

/// Returns the rules for the beginning of names.
pub(crate) fn prefix() -> Vec<Value> {
    vec![beginning(&format!("self.matches('{NAME}')"))]
}

/// Returns the rule for the beginning of names in which `*` and `${namespace}` have a meaning. Other rules bound
/// their use.
pub(crate) fn ceiling() -> Value {
    let variable = "self.replace('${namespace}', '')";
    beginning(&format!(
        "self.contains('*') || !self.startsWith('arn:') && {variable}.matches('^[$A-Za-z0-9/_+=.@!-]*$')"
    ))
}

fn beginning(rule: &str) -> Value {
    let advice = format!(
        "self.startsWith('arn:') ? 'write the beginning of names instead of an ARN: ' + self.substring(self.lastIndexOf(':') + 1) + \
         ', without the hyphen and the 6 characters at the end of a whole ARN' \
         : 'no name of a secret begins with ' + self + ': {CHARACTERS}'"
    );
    explained(
        rule,
        &format!("write the beginning of names, not an ARN or a pattern: {CHARACTERS}"),
        &advice,
    )
}

/// Returns the rules for one exact name next to a field for the ARN.
pub(crate) fn name_or_arn() -> Vec<Value> {
    vec![explained(
        &format!("self.matches('{NAME}')"),
        &format!("write the name of a secret: {CHARACTERS}"),
        &format!(
            "self.startsWith('arn:') ? 'write the ARN into secret.arn, and leave out name and region' \
             : 'no secret can have the name ' + self + ': {CHARACTERS}'"
        ),
    )]
}

/// Returns the rule for exact names next to the beginning of names.
pub(crate) fn names_begin() -> Value {
    explained(
        "!has(self.names) || !has(self.namePrefix) || self.names.all(name, name.startsWith(self.namePrefix))",
        "write names that begin with namePrefix, or write them into an item of their own",
        "'name ' + self.names.filter(name, !name.startsWith(self.namePrefix))[0] + ' does not begin with namePrefix ' + \
         self.namePrefix + ' of the same item; write it into an item of its own'",
    )
}

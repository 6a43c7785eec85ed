//! The parameters of a request, with AWS's errors for missing or too long ones.

use serde_json::Value;

use crate::errors::ApiError;

/// The JSON object of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a>(pub(crate) &'a Value);

impl<'a> Parameters<'a> {
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    pub(crate) fn required(self, name: &str) -> Result<&'a str, ApiError> {
        let missing = || {
            ApiError::new(
                "ValidationException",
                format!(
                    "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
                ),
            )
        };
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(missing)
    }

    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(crate) fn number(self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    pub(crate) fn list(self, name: &str) -> &'a [Value] {
        self.0
            .get(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    pub(crate) fn texts(self, name: &str) -> Vec<&'a str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    pub(crate) fn token(self) -> Result<Option<&'a str>, ApiError> {
        self.version_id("ClientRequestToken")
    }

    /// Returns the token, which has 32 to 64 characters. Tokens become version ids.
    pub(crate) fn version_id(self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.text(name) {
            Some(id) if !(32..=64).contains(&id.len()) => Err(ApiError::invalid_parameter(
                format!("{name} must be between 32 and 64 characters long."),
            )),
            id => Ok(id),
        }
    }

    /// Returns `MaxResults`, from 1 to 100. The default is 100.
    pub(crate) fn page_size(self) -> Result<usize, ApiError> {
        let size = self.number("MaxResults").unwrap_or(100);
        let fits = usize::try_from(size)
            .ok()
            .filter(|size| (1..=100).contains(size));
        fits.ok_or_else(|| ApiError::invalid_parameter("MaxResults must be between 1 and 100."))
    }

    /// Returns the end of the last page. Tokens are opaque, and invalid tokens are refused.
    pub(crate) fn next_token(self) -> Result<Option<String>, ApiError> {
        let Some(token) = self.text("NextToken") else {
            return Ok(None);
        };
        let end = decode(token).ok_or_else(ApiError::invalid_next_token)?;
        Ok(Some(end))
    }
}

pub(crate) fn encode(key: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    key.bytes()
        .map(|byte| byte ^ 0x5a)
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn decode(token: &str) -> Option<String> {
    let digits = token
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Option<Vec<u8>> = digits.map(|byte| byte.map(|byte| byte ^ 0x5a)).collect();
    String::from_utf8(bytes?)
        .ok()
        .filter(|key| key.contains('\u{1f}'))
}

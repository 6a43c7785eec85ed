//! Reads the ARN of the secret from an EventBridge event. Nothing else in the event is trusted.

use secret_rotation_core::names::Arn;
use serde_json::Value;

/// The places where events contain the ARN of their secret. AWS documents several shapes, and others were observed. A
/// name alone is not enough.
const PLACES: [&str; 6] = [
    "/detail/additionalEventData/SecretId",
    "/detail/serviceEventDetails/secretId",
    "/detail/responseElements/arn",
    "/detail/responseElements/aRN",
    "/detail/requestParameters/secretId",
    "/resources/0",
];

/// Returns the ARN of the secret, if the text is an event of Secrets Manager that contains one.
pub(crate) fn secret(body: &str) -> Option<Arn> {
    let event: Value = serde_json::from_str(body).ok()?;
    if event["source"] != "aws.secretsmanager" {
        return None;
    }
    PLACES
        .iter()
        .filter_map(|place| event.pointer(place)?.as_str())
        .find_map(|text| Arn::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-west-2:012345678901:secret:mySecret-a1b2c3";

    fn found(event: &Value) -> Option<String> {
        secret(&event.to_string()).map(|arn| arn.to_string())
    }

    #[test]
    fn a_label_event_names_its_secret_as_a_resource() {
        // User guide, "Secret event notifications".
        let event = json!({
            "version": "0", "detail-type": "Secret Label Updated", "source": "aws.secretsmanager", "account": "012345678901",
            "time": "2024-02-06T16:43:48Z", "region": "us-west-2", "resources": [ARN],
            "detail": {"name": "mySecret", "labelUpdated": "AWSCURRENT", "versionId": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111"},
        });
        assert_eq!(found(&event).as_deref(), Some(ARN));
    }

    #[test]
    fn a_failed_rotation_names_its_secret_in_either_known_shape() {
        for detail in [
            json!({"eventName": "RotationFailed", "requestParameters": null, "responseElements": null, "additionalEventData": {"SecretId": ARN}}),
            json!({"eventName": "RotationFailed", "serviceEventDetails": {"secretId": ARN}}),
        ] {
            let event = json!({"source": "aws.secretsmanager", "detail-type": "AWS Service Event via CloudTrail", "resources": [], "detail": detail});
            assert_eq!(found(&event).as_deref(), Some(ARN), "{event}");
        }
    }

    #[test]
    fn an_api_call_names_its_secret_in_its_answer_if_the_request_has_only_a_name() {
        for answer in [json!({"arn": ARN}), json!({"aRN": ARN})] {
            let detail = json!({"eventName": "RotateSecret", "requestParameters": {"secretId": "mySecret"}, "responseElements": answer});
            let event = json!({"source": "aws.secretsmanager", "detail": detail});
            assert_eq!(found(&event).as_deref(), Some(ARN), "{event}");
        }
    }

    #[test]
    fn a_text_that_is_not_an_event_of_a_secret_names_no_secret() {
        for body in [
            "",
            "{",
            "[]",
            "null",
            r#"{"source": "aws.secretsmanager"}"#,
            r#"{"source": "aws.secretsmanager", "resources": ["arn:aws:s3:::bucket"]}"#,
            r#"{"source": "aws.secretsmanager", "resources": [7]}"#,
        ] {
            assert_eq!(secret(body), None, "{body}");
        }
        assert_eq!(
            found(&json!({"source": "my.app", "resources": [ARN]})),
            None,
            "an event of another source"
        );
    }
}

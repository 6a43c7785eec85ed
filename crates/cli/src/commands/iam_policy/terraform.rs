//! An IAM policy as a Terraform resource. JSON is valid HCL, except for template sequences.

/// Returns the resource of a level, with `${` and `%{` escaped so that they are no templates.
pub(super) fn resource(level: &str, policy: &str) -> String {
    let body = policy.trim_end().replace("${", "$${").replace("%{", "%%{");
    let body = body.replace('\n', "\n  ");
    let id = level.replace('-', "_");
    format!(
        "resource \"aws_iam_policy\" \"secret_rotation_{id}\" {{\n  name   = \"secret-rotation-{level}\"\n  policy = jsonencode({body})\n}}\n"
    )
}

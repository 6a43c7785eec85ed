//! A policy as a Terraform resource. JSON is an expression of HCL, but for its templates.

/// A resource of this level; `${` and `%{` in the policy are kept from being templates.
pub(super) fn resource(level: &str, policy: &str) -> String {
    let body = policy.trim_end().replace("${", "$${").replace("%{", "%%{");
    let body = body.replace('\n', "\n  ");
    let id = level.replace('-', "_");
    format!(
        "resource \"aws_iam_policy\" \"secret_rotation_{id}\" {{\n  name   = \"secret-rotation-{level}\"\n  policy = jsonencode({body})\n}}\n"
    )
}

# The IAM policy of secret-rotation-controller for one level. Attach it to the role of the controller's pods:
#
#   module "secret_rotation" {
#     source = "github.com/secretrotation/secret-rotation-controller//deploy/iam?ref=v0.1.0"
#     level  = "recover"
#   }

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "level" {
  description = "What the controller can do: observe reads; recover also pins, clears and rotates; by-hand also allows manual operations"
  type        = string
  default     = "observe"

  validation {
    condition     = contains(["observe", "recover", "by-hand"], var.level)
    error_message = "Write observe, recover or by-hand."
  }
}

variable "name" {
  description = "The name of the policy"
  type        = string
  default     = "secret-rotation-controller"
}

variable "tags" {
  description = "Tags of the policy"
  type        = map(string)
  default     = {}
}

# The files have ARNs of partition aws. GovCloud and China have partitions of their own.
data "aws_partition" "current" {}

resource "aws_iam_policy" "this" {
  name   = var.name
  policy = replace(file("${path.module}/${var.level}.json"), "arn:aws:", "arn:${data.aws_partition.current.partition}:")
  tags   = var.tags
}

output "policy_arn" {
  description = "The ARN of the policy to attach to the controller's role"
  value       = aws_iam_policy.this.arn
}

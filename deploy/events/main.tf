# A queue with events about secrets of this account and region. secret-rotation-controller receives them.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "queue_name" {
  description = "The name of the queue. Set spec.eventQueue.arn of the AWSAccessProfile to its ARN."
  type        = string
  default     = "secret-rotation"
}

variable "controller_role_name" {
  description = "The name of the IAM role that the controller uses."
  type        = string
}

resource "aws_sqs_queue" "events" {
  name = var.queue_name
  # An event that is not received within an hour is useless: the next check comes first.
  message_retention_seconds  = 3600
  visibility_timeout_seconds = 30
  sqs_managed_sse_enabled    = true
}

resource "aws_cloudwatch_event_rule" "events" {
  name          = var.queue_name
  description   = "Events of AWS Secrets Manager about labels and rotations"
  event_pattern = file("${path.module}/pattern.json")
}

resource "aws_cloudwatch_event_target" "events" {
  rule = aws_cloudwatch_event_rule.events.name
  arn  = aws_sqs_queue.events.arn
}

data "aws_iam_policy_document" "send" {
  statement {
    sid       = "EventsOfThisRule"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.events.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.id
  policy    = data.aws_iam_policy_document.send.json
}

data "aws_iam_policy_document" "receive" {
  statement {
    sid       = "ReceiveEvents"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
    resources = [aws_sqs_queue.events.arn]
  }
}

resource "aws_iam_role_policy" "receive" {
  name   = "receive-${var.queue_name}"
  role   = var.controller_role_name
  policy = data.aws_iam_policy_document.receive.json
}

output "queue_arn" {
  description = "The ARN of the queue, for spec.eventQueue.arn of the AWSAccessProfile"
  value       = aws_sqs_queue.events.arn
}

"""Webhooks: others call, and are answered 202 when what they sent is durable."""

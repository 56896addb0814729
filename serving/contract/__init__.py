"""What gateway, engine and faces agree on: requests, answers, messages, models."""

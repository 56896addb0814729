"""The OpenAPI document, operation by operation."""

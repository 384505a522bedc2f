"""The configuration: models, reading, checking, schema."""

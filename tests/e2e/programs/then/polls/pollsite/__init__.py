"""A question and its votes."""

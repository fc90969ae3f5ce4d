"""The registered versions and the alias `champion`."""

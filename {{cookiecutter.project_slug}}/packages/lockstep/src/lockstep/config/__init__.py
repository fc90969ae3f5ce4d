"""From conf/ to params.yaml, checked."""

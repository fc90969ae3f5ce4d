"""A net that learns a wave."""

"""Answer requests over HTTP with a version that an alias names, and follow that alias."""

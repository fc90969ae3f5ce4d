"""The context of a container image: a version, its locked environment and the server."""

"""The verbs of `lockstep`, a module each: its arguments, and what it does."""

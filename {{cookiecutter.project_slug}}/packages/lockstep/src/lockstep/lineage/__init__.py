"""From a name to a run, and from a run or a file to its origins and uses."""

"""The sub-commands of `scaling-study`, a file a group."""

"""The two commands: `scaling` runs studies, `scaling-study` looks at them."""

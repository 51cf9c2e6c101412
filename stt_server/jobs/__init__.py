"""Training jobs: what may be asked for, when one is due by itself, how long a failed one waits. See README.md."""

"""One runtime a file, each a `Backend`; `sr_core.backend.BACKENDS` is their table."""

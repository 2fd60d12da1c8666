"""How often work is given to another worker, in processes and on a cluster alike."""

from __future__ import annotations

from sr_core.errors import BadInput, NotAvailable, StorageError

TRIES = 3  # for work whose worker died
CERTAIN = (BadInput, StorageError, NotAvailable)  # errors that another try would meet again

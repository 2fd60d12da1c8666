"""`python -m srvid [FILES…]`: the page in the browser, as `srkit ui` opens it."""

from __future__ import annotations

import sys

from srvid_cli.srkit import main

if __name__ == "__main__":
    sys.argv.insert(1, "ui")
    main()

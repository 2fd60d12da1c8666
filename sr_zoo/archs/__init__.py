"""One file per published network. `registry.build_network` makes any of them by name."""

"""Models of the hub: finding, fetching, importing and reading them."""

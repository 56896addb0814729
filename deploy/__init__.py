"""From laptop to server: the container image, the proxy, the update."""

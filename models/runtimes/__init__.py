"""What runs a network, and in which number format."""

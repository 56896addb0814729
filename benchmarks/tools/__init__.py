"""What the benchmarks share: rounds in turn, servers, load, pictures, checkpoints, usage."""

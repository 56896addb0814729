"""What a model is to those who use one: options, results, metadata. No torch, no runtime."""

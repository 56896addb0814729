"""The methods that write captions, one folder each."""

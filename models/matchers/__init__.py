"""The methods that tell how well texts fit a picture, one folder each."""

"""The `captionbox` command."""

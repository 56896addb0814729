"""The subcommands of `captionbox`, one file each."""

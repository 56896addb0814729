"""What comes out: records, sidecars, pages, descriptions, and how a command ends."""

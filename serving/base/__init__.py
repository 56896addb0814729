"""What everything in `serving` stands on: settings, problems, metrics, logs."""

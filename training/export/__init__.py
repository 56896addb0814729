"""What a run leaves: its folder, model directories, cards, reports."""

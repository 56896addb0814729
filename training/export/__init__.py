"""What leaves a run: model directories, cards, pages, charts."""

"""Where images come from: arguments, lists, pages."""

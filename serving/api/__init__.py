"""The faces of the service: routes, forms, pages."""

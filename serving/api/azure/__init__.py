"""The interface of Azure's Image Analysis 4.0, as far as a captioner can honour it."""

from serving.api.azure.errors import PREFIX, azure_errors
from serving.api.azure.routes import azure_routes
from serving.api.face import Face

FACE = Face("azure", PREFIX, azure_errors, azure_routes, "ocp-apim-subscription-key")

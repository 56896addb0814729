"""The interface of PhotoPrism's vision service, as far as a captioner can honour it."""

from serving.api.face import Face
from serving.api.photoprism.errors import PREFIX, photoprism_errors
from serving.api.photoprism.routes import photoprism_routes

FACE = Face("photoprism", PREFIX, photoprism_errors, photoprism_routes)

"""The captioner as tools of the Model Context Protocol, for agents."""

from serving.api.face import Face
from serving.api.mcp.errors import PATH, mcp_errors
from serving.api.mcp.routes import mcp_routes

FACE = Face("mcp", PATH, mcp_errors, mcp_routes)

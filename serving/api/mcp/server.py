"""The tools behind the `mcp` package's server. One is made for each request: it keeps nothing."""

from __future__ import annotations

import logging
from typing import Any

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as DeclaredTool
from pydantic import ValidationError

from serving.api.mcp.tools import Tool, offered
from serving.base.problems import Problem, from_validation
from serving.base.version import __version__
from serving.gateway.gateway import Gateway

_INSTRUCTIONS = "Captionbox describes pictures. It sees what it is sent and knows nothing else."

# It tells of every request that one begins and ends, for each has a manager of its own here.
logging.getLogger("mcp").setLevel(logging.WARNING)


def tool_server(gateway: Gateway, identity: str) -> Server[Any]:
    """Return a server of the tools.

    Args:
        gateway: that does the work.
        identity: of the request.
    """
    tools = offered(gateway)

    async def list_tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_declared(name, tool) for name, tool in tools.items()])

    async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            known = ", ".join(tools)
            raise MCPError(INVALID_PARAMS, f"no tool {params.name[:100]!r}; there are: {known}")
        try:
            asked = tool.takes.model_validate(params.arguments or {})
            told = await tool.run(gateway, asked, identity)
        except ValidationError as error:
            return _failed(from_validation(error))
        except Problem as problem:
            return _failed(problem)
        return CallToolResult(
            content=[TextContent(type="text", text=told.text)], structured_content=told.facts
        )

    return Server(
        "captionbox",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _declared(name: str, tool: Tool) -> DeclaredTool:
    return DeclaredTool(
        name=name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.takes.model_json_schema(),
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True),
    )


def _failed(problem: Problem) -> CallToolResult:
    """Return a problem as a tool has it: the agent reads it, and asks better or later."""
    text = problem.detail
    wait = problem.headers.get("Retry-After")
    if wait is not None:
        text = f"{text} Try again in {wait} s."
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

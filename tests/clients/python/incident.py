"""An agent at work, with the official Python SDK: writers wait for a lock, the agent finds who holds it, asks to end that
session, waits for a person to approve, and looks whether it helped.

    python incident.py auto|legacy stdio lockgate mcp --config /etc/lockgate/lockgate.toml
    LOCKGATE_TOKEN=… python incident.py auto|legacy http https://gate.example.com/mcp

`auto` uses revision 2026-07-28 where the server has it, `legacy` begins with `initialize`. It says on standard output what
it sees, one JSON object a line, and ends with an error where anything is not as it should be.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack

import httpx2
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

TARGET = "primary"


def say(event: str, **more: object) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


def rows_of(table: dict) -> list[dict]:
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row)) for row in table["rows"]]


def expect(answer: dict, status: str) -> dict:
    if answer["status"] != status:
        raise SystemExit(f"expected {status}: {answer}")
    return answer


async def connect(stack: AsyncExitStack, mode: str, transport: str, *where: str) -> Client:
    if transport == "stdio":
        server = StdioServerParameters(command=where[0], args=list(where[1:]))
    else:
        headers = {"Authorization": f"Bearer {os.environ['LOCKGATE_TOKEN']}"}
        # A held call answers when a person decides, or after the server's own wait.
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=120))
        server = streamable_http_client(where[0], http_client=http)
    return await stack.enter_async_context(Client(server, mode=mode, read_timeout_seconds=120))


async def call(client: Client, tool: str, arguments: dict, progress=None) -> dict:
    # The SDK checks the structured answer against the tool's output schema.
    result = await client.call_tool(tool, arguments, progress_callback=progress)
    if result.structured_content is None:
        raise SystemExit(f"{tool}: no structured content: {result}")
    return result.structured_content


async def read(client: Client, action: str) -> list[dict]:
    arguments = {"target": TARGET, "reason": "API writes time out; looking for what they wait for"}
    answer = expect(await call(client, f"postgres.{action}", arguments), "done")
    return rows_of(answer["tables"][0])


async def incident(client: Client) -> None:
    say("connected", revision=client.protocol_version, instructions=client.instructions)
    say("tools", names=[tool.name for tool in (await client.list_tools()).tools])

    # Look before you act.
    chains = await read(client, "lock_blocking_chains")
    [pid] = {row["head_pid"] for row in chains}
    [application] = [row["application"] for row in await read(client, "idle_in_transaction") if row["pid"] == pid]
    say("head", pid=pid, waiting=len(chains), application=application)

    # Ask for what must be done. Nothing happens until a person has approved exactly this.
    heard: list[dict] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append({"progress": progress, "message": message})

    reason = f"session {pid} of {application} sits idle in a transaction and blocks {len(chains)} others"
    wanted = {"pid": pid, "target": TARGET, "reason": reason}
    answer = await call(client, "postgres.terminate_backend", wanted, progress)
    if answer["status"] == "pending":
        say("pending", **answer, heard=heard)
    # Whoever decides quickly is heard at once; otherwise the agent asks again, for as long as it takes.
    again = {"approval_id": answer.get("approval_id"), "wait_seconds": 20}
    while answer["status"] == "pending":
        answer = await call(client, "lockgate.await_approval", again)
    say("answered", **expect(answer, "done"))

    say("after", waiting=len(await read(client, "lock_blocking_chains")))


async def main() -> None:
    async with AsyncExitStack() as stack:
        await incident(await connect(stack, *sys.argv[1:]))


asyncio.run(main())

// Connects the official TypeScript SDK to lockgate, over either transport and with either line of the SDK.
//
//   stdio COMMAND ARGUMENT…   starts the command and speaks with it
//   http URL                  the token is taken from LOCKGATE_TOKEN
//
// `sdk` is `v2` (revision 2026-07-28 where the server has it), `v2-legacy` (the same package, beginning with `initialize`)
// or `v1` (the package that most clients in use were built with).

import * as v2 from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

export async function connect(sdk, transport, ...where) {
  const old = sdk === 'v1';
  const about = { name: `lockgate-example-${sdk}`, version: '1.0.0' };
  const client = old
    ? new ClientV1(about)
    : new v2.Client(about, { versionNegotiation: { mode: sdk === 'v2' ? 'auto' : 'legacy' } });

  if (transport === 'stdio') {
    const [command, ...args] = where;
    await client.connect(new (old ? StdioV1 : StdioV2)({ command, args }));
  } else {
    const headers = { Authorization: `Bearer ${process.env.LOCKGATE_TOKEN}` };
    const Http = old ? HttpV1 : v2.StreamableHTTPClientTransport;
    await client.connect(new Http(new URL(where[0]), { requestInit: { headers } }));
  }

  return {
    // Listing first matters: from then on the SDK checks every structured answer against its tool's output schema.
    tools: async () => (await client.listTools()).tools,
    call: async (name, args, onprogress) => {
      const params = { name, arguments: args };
      const options = { onprogress, timeout: 120_000 };
      const result = await (old ? client.callTool(params, undefined, options) : client.callTool(params, options));
      if (!result.structuredContent) throw new Error(`${name}: no structured content: ${JSON.stringify(result)}`);
      return result.structuredContent;
    },
    instructions: () => client.getInstructions(),
    revision: () => (old ? client.transport.protocolVersion : client.getNegotiatedProtocolVersion?.()) ?? null,
    close: () => client.close(),
  };
}

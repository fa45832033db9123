// A client that knows of lockgate only what `lockgate mcp config` printed: reads the file, puts environment variables in as
// clients do (`${NAME}`), connects and lists the tools.
//
//   node pasted.mjs mcp.json

import { readFileSync } from 'node:fs';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const filled = (text) => text.replace(/\$\{(\w+)\}/g, (_, name) => process.env[name] ?? '');
const { mcpServers } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const [name, server] of Object.entries(mcpServers)) {
  const client = new Client({ name: 'lockgate-example', version: '1.0.0' });
  if (server.type === 'stdio') {
    await client.connect(new StdioClientTransport({ command: server.command, args: server.args, cwd: '/' }));
  } else {
    const headers = Object.fromEntries(Object.entries(server.headers).map(([key, value]) => [key, filled(value)]));
    await client.connect(new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers } }));
  }
  const { tools } = await client.listTools();
  console.log(JSON.stringify({ event: 'tools', server: name, names: tools.map((tool) => tool.name) }));
  await client.close();
}

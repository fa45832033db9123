//! The agents' door: an MCP server over the gate. Knows the gate and the catalog; decides nothing.

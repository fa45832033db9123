//! What a client is shown of what there is: the tools of one principal, page by page.

use rmcp::{
    ErrorData, RoleServer,
    model::{ListToolsResult, PaginatedRequestParams},
    service::RequestContext,
};

use super::{door::Gatekeeper, server::Server, tool};

impl<G: Gatekeeper> Server<G> {
    /// Answers `tools/list`.
    pub(super) fn answer_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let principal = self.principal(context)?;
        let mut tools = tool::all(&self.gatekeeper().tools(&principal), self.settings());
        // The cursor is the last name of the page before: it stays right when a tool comes or goes in between.
        if let Some(cursor) = request.and_then(|page| page.cursor) {
            if cursor.len() > 256 || !cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
                return Err(ErrorData::invalid_params("the cursor is not one that this server gave", None));
            }
            tools.retain(|tool| *tool.name > *cursor);
        }
        let more = tools.len() > self.settings().page_size;
        tools.truncate(self.settings().page_size);
        let next_cursor = if more { tools.last().map(|tool| tool.name.to_string()) } else { None };
        Ok(ListToolsResult { next_cursor, ..ListToolsResult::with_all_items(tools) })
    }
}

//! What a client is shown of what there is: tools, resources and prompts, page by page. Everything is made for the principal
//! who asks, from what the gatekeeper offers it.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CacheScope, CallToolResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ResourceTemplate,
    },
    service::RequestContext,
};
use serde_json::{Map, Value};

use super::{
    catalogue::{self, Question},
    door::Gatekeeper,
    face,
    own::Own,
    prompts, recent, resources,
    server::Server,
};
use crate::{gate::call::Principal, search};

/// How long a client may keep a list, in milliseconds (revision 2026-07-28; caching). Policy and packs change seldom, and who
/// listens is told when they do.
const FRESH: u64 = 60_000;
/// Longest cursor that is looked at; ours are names and addresses.
const LONGEST_CURSOR: usize = 256;

/// A page's items, and the cursor of the next page.
type Page<T> = (Vec<T>, Option<String>);

impl<G: Gatekeeper> Server<G> {
    /// Answers `tools/list`.
    pub(super) fn answer_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let principal = self.principal(context)?;
        let tools = face::tools(&self.gatekeeper().tools(&principal), self.settings());
        let (tools, next_cursor) = self.page(tools, request, |tool| tool.name.to_string())?;
        let (ttl_ms, cache_scope) = hints(context);
        Ok(ListToolsResult { next_cursor, ttl_ms, cache_scope, ..ListToolsResult::with_all_items(tools) })
    }

    /// Answers `resources/list`.
    pub(super) fn answer_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let principal = self.principal(context)?;
        let all = resources::listed(self.gatekeeper(), &principal);
        let (resources, next_cursor) = self.page(all, request, |resource| resource.uri.clone())?;
        let (ttl_ms, cache_scope) = hints(context);
        Ok(ListResourcesResult { next_cursor, ttl_ms, cache_scope, ..ListResourcesResult::with_all_items(resources) })
    }

    /// Answers `resources/templates/list`.
    pub(super) fn answer_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.principal(context)?;
        // A template's braces are no characters of a cursor.
        let key = |template: &ResourceTemplate| template.uri_template.replace(['{', '}'], "");
        let (templates, next_cursor) = self.page(resources::templates(), request, key)?;
        let (ttl_ms, cache_scope) = hints(context);
        let all = ListResourceTemplatesResult::with_all_items(templates);
        Ok(ListResourceTemplatesResult { next_cursor, ttl_ms, cache_scope, ..all })
    }

    /// Answers `prompts/list`.
    pub(super) fn answer_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let principal = self.principal(context)?;
        let all = prompts::listed(&self.gatekeeper().tools(&principal));
        let (prompts, next_cursor) = self.page(all, request, |prompt| prompt.name.clone())?;
        let (ttl_ms, cache_scope) = hints(context);
        Ok(ListPromptsResult { next_cursor, ttl_ms, cache_scope, ..ListPromptsResult::with_all_items(prompts) })
    }

    /// Answers those of lockgate's own tools that only look something up. None for those that are calls.
    pub(super) async fn look_up(
        &self,
        own: Own,
        principal: &Principal,
        arguments: &Map<String, Value>,
    ) -> Option<CallToolResult> {
        let settings = self.settings();
        let offered = || self.gatekeeper().tools(principal);
        let answer = match own {
            Own::AwaitApproval | Own::RunAction => return None,
            Own::GetAction => match catalogue::wanted(arguments) {
                Ok(name) => {
                    let name = settings.separator.inward(name, offered);
                    let details = self.gatekeeper().details(principal, &name);
                    match offered().iter().find(|action| action.name == *name) {
                        Some(action) => catalogue::described(action, details.as_ref(), settings),
                        None => catalogue::no_action(&name, settings),
                    }
                }
                Err(problems) => catalogue::malformed(own, problems, settings),
            },
            Own::RecentRuns => match recent::wanted(arguments, settings, offered) {
                Ok(filter) => match self.gatekeeper().recent_runs(principal, filter).await {
                    Ok(page) => recent::listed(&page, settings),
                    Err(refusal) => catalogue::refused(refusal, settings),
                },
                Err(problems) => catalogue::malformed(own, problems, settings),
            },
            Own::FindActions => match Question::read(arguments) {
                Ok(question) => {
                    let offered = offered();
                    let found = search::find(&question.query, &offered, question.limit);
                    let packs = self.gatekeeper().packs(principal);
                    catalogue::found(&question, &found, &offered, &packs, settings)
                }
                Err(problems) => catalogue::malformed(own, problems, settings),
            },
        };
        Some(answer)
    }

    /// One page of a list in the order of its keys. The cursor is the last key of the page before: it stays right when an
    /// item comes or goes in between.
    fn page<T>(
        &self,
        mut items: Vec<T>,
        request: Option<PaginatedRequestParams>,
        key: impl Fn(&T) -> String,
    ) -> Result<Page<T>, ErrorData> {
        items.sort_by_cached_key(&key);
        if let Some(cursor) = request.and_then(|page| page.cursor) {
            if cursor.len() > LONGEST_CURSOR
                || !cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:/".contains(&b))
            {
                return Err(ErrorData::invalid_params(
                    "the cursor is not one that this server gave; leave it out to begin with the first page",
                    None,
                ));
            }
            items.retain(|item| key(item) > cursor);
        }
        let more = items.len() > self.settings().page_size;
        items.truncate(self.settings().page_size);
        let next = if more { items.last().map(&key) } else { None };
        Ok((items, next))
    }
}

/// What a client of revision 2026-07-28 is told about keeping a list; older ones don't know these fields. A list is made for
/// one principal, so no one else's cache may hold it.
pub(super) fn hints(context: &RequestContext<RoleServer>) -> (Option<u64>, Option<CacheScope>) {
    let is_modern = context.protocol_version().is_some_and(|v| v.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    if is_modern { (Some(FRESH), Some(CacheScope::Private)) } else { (None, None) }
}

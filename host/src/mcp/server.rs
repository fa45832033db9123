//! The MCP server itself: what both transports serve. Each method of the protocol is one line here and one room elsewhere:
//! `listing` shows what there is, `calling` carries a tool call through the gatekeeper, `held` has what becomes of a call that
//! waits for a person, `resources`, `prompts` and `complete` are what their names say, and `changes` tells clients
//! that a list of theirs is another now.

#![allow(deprecated, reason = "logging is on its way out of MCP, and clients of today have it")]

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        DiscoverResult, Extensions, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
        Implementation, InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscriptionFilter, UpdateTaskParams,
    },
    service::{RequestContext, SubscriptionContext},
};

use super::{
    McpSettings, changes, complete, door::Gatekeeper, held::continuation::Seal, in_flight::InFlight, instructions,
    listing, memory::Memory, prompts, resources,
};
use crate::{gate::call::Principal, rate::Rate};

/// The server, shared by every connection of a transport. Cheap to clone.
#[derive(Debug)]
pub struct Server<G> {
    gatekeeper: Arc<G>,
    settings: Arc<McpSettings>,
    calls: InFlight,
    rate: Arc<Rate<String>>,
    sessions: changes::Sessions,
    /// Who calls where the transport has one caller; otherwise each request says.
    caller: Option<Arc<Principal>>,
    /// What is remembered of the client of this connection.
    memory: Arc<Memory>,
    seal: Arc<Seal>,
}

impl<G> Clone for Server<G> {
    fn clone(&self) -> Self {
        Self {
            gatekeeper: Arc::clone(&self.gatekeeper),
            settings: Arc::clone(&self.settings),
            calls: self.calls.clone(),
            rate: Arc::clone(&self.rate),
            sessions: self.sessions.clone(),
            caller: self.caller.clone(),
            memory: Arc::clone(&self.memory),
            seal: Arc::clone(&self.seal),
        }
    }
}

impl<G: Gatekeeper> Server<G> {
    /// A server whose requests each carry their authenticated [`Principal`].
    #[must_use]
    pub fn new(gatekeeper: Arc<G>, mut settings: McpSettings) -> Self {
        // Whoever may wait this long by itself may also ask to.
        settings.longest_wait = settings.longest_wait.max(settings.hold_wait);
        Self {
            gatekeeper,
            calls: InFlight::default(),
            rate: Arc::new(Rate::new(settings.calls_per_minute, settings.burst)),
            settings: Arc::new(settings),
            sessions: changes::Sessions::default(),
            caller: None,
            memory: Arc::default(),
            seal: Arc::default(),
        }
    }

    /// The same for a new connection, of which nothing is remembered yet.
    #[must_use]
    pub fn for_connection(&self) -> Self {
        Self { memory: Arc::default(), ..self.clone() }
    }

    /// The same with a key that every process of this host has: what was sealed before a restart can be opened after it.
    #[must_use]
    pub fn with_state_key(self, key: &[u8; 32]) -> Self {
        Self { seal: Arc::new(Seal::new(key)), ..self }
    }

    /// The same for one caller, whatever its requests carry.
    #[must_use]
    pub fn with_caller(self, caller: Principal) -> Self {
        Self { caller: Some(Arc::new(caller)), ..self }
    }

    /// The calls that are under way.
    #[must_use]
    pub fn calls(&self) -> &InFlight {
        &self.calls
    }

    /// How often each agent may call.
    pub(super) fn rate(&self) -> &Rate<String> {
        &self.rate
    }

    /// What the operator set.
    #[must_use]
    pub fn settings(&self) -> &McpSettings {
        &self.settings
    }

    /// Who keeps the gate.
    pub(super) fn gatekeeper(&self) -> &G {
        &self.gatekeeper
    }

    pub(super) fn shared_gatekeeper(&self) -> &Arc<G> {
        &self.gatekeeper
    }

    pub(super) fn shared_settings(&self) -> &Arc<McpSettings> {
        &self.settings
    }

    /// The sessions that are told of changes.
    pub(super) fn sessions(&self) -> &changes::Sessions {
        &self.sessions
    }

    /// What is remembered of the client.
    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// What seals a call's state while the client has it.
    pub(super) fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Who sent a request, as the transport made out.
    pub(super) fn principal(&self, context: &RequestContext<RoleServer>) -> Result<Arc<Principal>, ErrorData> {
        // A transport that let a request through without a caller would be a defect; nothing runs for nobody.
        self.caller_of(&context.extensions).ok_or_else(|| ErrorData::invalid_request("no caller was made out", None))
    }

    /// Who sent a message with these extensions.
    pub(super) fn caller_of(&self, extensions: &Extensions) -> Option<Arc<Principal>> {
        let by_message = || {
            let parts = extensions.get::<axum::http::request::Parts>()?;
            parts.extensions.get::<Arc<Principal>>().cloned()
        };
        self.caller.clone().or_else(by_message)
    }

    fn instructions(&self, context: &RequestContext<RoleServer>) -> Result<String, ErrorData> {
        let principal = self.principal(context)?;
        Ok(instructions::of(&self.gatekeeper().tools(&principal), self.settings()))
    }
}

impl<G: Gatekeeper> ServerHandler for Server<G> {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_tasks()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_completions()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("lockgate", env!("CARGO_PKG_VERSION")).with_title("lockgate"))
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let instructions = self.instructions(&context)?;
        context.peer.set_peer_info(request.clone());
        let answer = self.negotiate_initialize(&request)?;
        self.remember(&context)?;
        Ok(answer.with_instructions(instructions))
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let info = self.get_info().with_instructions(self.instructions(&context)?);
        Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), info))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.answer_tools(request, &context)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.answer_call(request, context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.answer_resources(request, &context)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.answer_templates(request, &context)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let principal = self.principal(&context)?;
        let mut answer = resources::read(self.gatekeeper(), &principal, self.settings(), &request.uri).await?;
        (answer.ttl_ms, answer.cache_scope) = listing::hints(&context);
        if resources::is_lively(&request.uri) {
            answer.ttl_ms = answer.ttl_ms.map(|_| 0);
        }
        Ok(answer.into())
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.answer_prompts(request, &context)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let offered = self.gatekeeper().tools(&*self.principal(&context)?);
        let arguments = request.arguments.unwrap_or_default();
        Ok(prompts::written(&request.name, &arguments, &offered, self.settings())?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let principal = self.principal(&context)?;
        complete::answer(self.gatekeeper(), &principal, &request).await
    }

    fn accepted_subscription_filter(&self, _requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        // What was not asked for is taken out again by rmcp.
        Some(SubscriptionFilter::builder().tools_list_changed().resources_list_changed().prompts_list_changed().build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.tell(context).await
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.answer_set_level(&request, &context)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.answer_get_task(&request, &context).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.answer_update_task(&request, &context).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.answer_cancel_task(&request, &context).await
    }
}

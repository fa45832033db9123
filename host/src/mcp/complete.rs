//! Completions: names that this principal may give for a prompt's target or in a resource's address, by what was typed.

use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference},
};

use super::{door::Gatekeeper, prompts};
use crate::{
    gate::call::Principal,
    outside::shown,
    runs::{LONGEST_PAGE, RunFilter},
};

/// Answers `completion/complete`.
///
/// # Errors
///
/// There is nothing of this name to complete.
pub async fn answer<G: Gatekeeper>(
    gate: &G,
    principal: &Principal,
    request: &CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let offered = gate.tools(principal);
    let argument = request.argument.name.as_str();
    let mut names: Vec<String> = match (&request.r#ref, argument) {
        (Reference::Prompt(prompt), "target") if prompts::listed(&offered).iter().any(|p| p.name == prompt.name) => {
            prompts::targets(&offered).into_iter().map(|target| target.name.clone()).collect()
        }
        (Reference::Resource(template), "pack") if template.uri == "lockgate://packs/{pack}" => {
            gate.packs(principal).into_iter().map(|pack| pack.name).collect()
        }
        (Reference::Resource(template), "action") if template.uri == "lockgate://actions/{action}" => {
            offered.into_iter().map(|action| action.name).collect()
        }
        (Reference::Resource(template), "run") if template.uri == "lockgate://runs/{run}" => {
            let filter = RunFilter { limit: Some(LONGEST_PAGE), ..RunFilter::default() };
            // A completion is a help; where the runs can't be read, `recent_runs` says why.
            let page = gate.recent_runs(principal, filter).await.unwrap_or_default();
            page.runs.into_iter().map(|run| run.run).collect()
        }
        (reference, _) => {
            let of = match reference {
                Reference::Prompt(prompt) => prompt.name.as_str(),
                Reference::Resource(template) => template.uri.as_str(),
                _ => "that",
            };
            let message = format!("`{}` of `{}` has no completions", shown(argument, 64), shown(of, 100));
            return Err(ErrorData::invalid_params(message, None));
        }
    };
    names.retain(|name| name.starts_with(&request.argument.value));
    let total = u32::try_from(names.len()).ok();
    let more = names.len() > CompletionInfo::MAX_VALUES;
    names.truncate(CompletionInfo::MAX_VALUES);
    let completion = CompletionInfo::with_pagination(names, total, more)
        .map_err(|message| ErrorData::internal_error(message, None))?;
    Ok(CompleteResult::new(completion))
}

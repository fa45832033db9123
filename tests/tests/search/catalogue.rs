//! The actions of the stock packs, as the gate would offer them.

use lockgate::{
    gate::call::OfferedAction,
    pack::manifest::{Example, Param, ParamKind, Risk},
};
use lockgate_pack::{Pack, bindings::exports::lockgate::pack::actions as contract, guest::describe};

/// The actions of both packs.
pub fn stock_actions() -> Vec<OfferedAction> {
    [&lockgate_pack_postgres::PACK, &lockgate_pack_diagnose::PACK].into_iter().flat_map(offered).collect()
}

fn offered(pack: &'static Pack) -> Vec<OfferedAction> {
    let manifest = describe(pack);
    let pack = manifest.name;
    manifest.actions.into_iter().map(|action| offer(&pack, action)).collect()
}

fn offer(pack: &str, action: contract::Action) -> OfferedAction {
    let example = |example: contract::Example| Example { situation: example.situation, arguments: example.arguments };
    OfferedAction {
        name: format!("{pack}.{}", action.name),
        title: action.title,
        description: action.description,
        risk: Risk::Low,
        params: action.params.into_iter().map(param).collect(),
        // What changes nothing may not declare side effects of none, and what changes something must.
        reads_only: action.side_effects.is_empty(),
        side_effects: action.side_effects,
        works_on_standby: action.works_on_standby,
        idempotent: action.idempotent,
        held: false,
        examples: action.examples.into_iter().map(example).collect(),
        search_terms: action.search_terms,
        targets: Vec::new(),
    }
}

/// The search looks at a parameter's name alone.
fn param(param: contract::Param) -> Param {
    Param {
        name: param.name,
        description: param.description,
        kind: ParamKind::Boolean,
        required: param.required,
        default: lockgate::value::Value::Null,
    }
}

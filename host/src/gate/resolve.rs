//! The first step: action, target and reason of a call, and what else it says of itself. Whatever of them can't be is said,
//! and nothing else happens.

use super::{
    Gate,
    call::{Call, Principal},
    words,
};
use crate::{
    error::{Code, Problem, Refusal},
    outside::shown,
    pack::catalog::{Entry, invalid},
    postgres::Target,
};

/// A call whose action and target exist.
pub(super) struct Asked {
    pub(super) entry: Entry,
    pub(super) target: Target,
}

impl Gate {
    /// Action, target and reason: whatever of them can't be is said, and nothing else happens.
    pub(super) fn resolve(&self, principal: &Principal, call: &Call) -> Result<Asked, Refusal> {
        let rules = self.rules();
        let entry = rules.catalog.get(&call.action).filter(|entry| self.is_listed(principal, entry));
        let Some(entry) = entry.cloned() else {
            let near = rules.catalog.near(&call.action);
            let shown = shown(&call.action, 130);
            let refusal = Refusal::new(Code::UnknownAction, format!("no action `{shown}`"));
            return Err(match near.as_slice() {
                [] => refusal,
                names => refusal.with_remedy(format!("did you mean {}", names.join(" or "))),
            });
        };
        let mut problems = words::problems(call);
        if let Some(message) = words::reason(&call.reason) {
            problems.insert(0, Problem { argument: "reason".into(), message });
        }
        if !problems.is_empty() {
            problems.extend(entry.problems(&call.arguments));
            return Err(invalid(&entry.name, problems));
        }
        let target = self.target(&entry, call.target.as_deref())?;
        Ok(Asked { entry, target })
    }

    fn target(&self, entry: &Entry, name: Option<&str>) -> Result<Target, Refusal> {
        let reachable: Vec<&Target> = self.targets.values().filter(|t| entry.pack.may_use_target(t.name())).collect();
        let names = || reachable.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ");
        match (name, reachable.as_slice()) {
            (None, [only]) => Ok((*only).clone()),
            (None, []) => Err(Refusal::new(Code::UnknownTarget, format!("pack of `{}` may use no target", entry.name))),
            (None, _) => Err(Refusal::new(Code::UnknownTarget, "there are several targets and `target` is missing")
                .with_remedy(format!("say which: {}", names()))),
            (Some(name), _) => reachable.iter().find(|t| t.name() == name).map(|t| (*t).clone()).ok_or_else(|| {
                let shown = shown(name, 64);
                Refusal::new(Code::UnknownTarget, format!("no target `{shown}`"))
                    .with_remedy(format!("use one of: {}", names()))
            }),
        }
    }
}

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
        let entry = self.seen(principal, &call.action)?;
        let mut problems = words::problems(call);
        if let Some(message) = words::reason(&call.reason) {
            problems.insert(0, Problem { argument: "reason".into(), message });
        }
        if !problems.is_empty() {
            problems.extend(entry.problems(&call.arguments));
            return Err(invalid(&entry.name, problems));
        }
        let target = self.target(principal, &entry, call.target.as_deref())?;
        Ok(Asked { entry, target })
    }

    fn target(&self, principal: &Principal, entry: &Entry, name: Option<&str>) -> Result<Target, Refusal> {
        let is_open = |name: &str| principal.scope.opens_target(name) && entry.pack.may_use_target(name);
        let reachable: Vec<&Target> = self.targets.values().filter(|t| is_open(t.name())).collect();
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

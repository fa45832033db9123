//! What a pack declares, as static data: the pack and its actions.

use crate::{
    call::Call,
    outcome::{Evidence, Outcome},
    param::Param,
    statement::Statement,
    value::{Failure, Problem},
};

/// The code of an action.
pub type Run = fn(&Call<'_>) -> Result<Outcome, Failure>;
/// What gathers evidence and pins for an action that is held.
pub type Preview = fn(&Call<'_>) -> Result<Evidence, Failure>;
/// What finds problems that the host's own checks can't.
pub type Validate = fn(&Call<'_>) -> Vec<Problem>;

/// How dangerous an action is. The host refuses a risk below the floor of the action's statements: a signal is `high`,
/// maintenance `medium`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// Reads.
    Low,
    /// Work that costs, and harms nothing.
    Medium,
    /// Interrupts somebody's work.
    High,
    /// Never by default.
    Critical,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Example {
    pub(crate) situation: &'static str,
    pub(crate) arguments: &'static str,
}

impl Example {
    const fn new(example: &(&'static str, &'static str)) -> Self {
        Self { situation: example.0, arguments: example.1 }
    }
}

/// An action: what agents call, what people approve.
#[derive(Clone, Copy)]
pub struct Action {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) risk: Risk,
    pub(crate) params: &'static [Param],
    pub(crate) run_statements: &'static [&'static Statement],
    pub(crate) preview_statements: &'static [&'static Statement],
    pub(crate) side_effects: &'static str,
    pub(crate) privileges: &'static [&'static str],
    pub(crate) works_on_standby: bool,
    pub(crate) idempotent: bool,
    pub(crate) examples: [Option<Example>; 3],
    pub(crate) search_terms: &'static [&'static str],
    pub(crate) run: Option<Run>,
    pub(crate) preview: Option<Preview>,
    pub(crate) validate: Option<Validate>,
}

impl Action {
    const fn new(name: &'static str, risk: Risk) -> Self {
        Self {
            name,
            title: "",
            description: "",
            risk,
            params: &[],
            run_statements: &[],
            preview_statements: &[],
            side_effects: "",
            privileges: &[],
            works_on_standby: true,
            idempotent: true,
            examples: [None; 3],
            search_terms: &[],
            run: None,
            preview: None,
            validate: None,
        }
    }

    /// Reads: `low`, works on a standby, idempotent. Names are `^[a-z][a-z0-9_]{0,62}$`; agents see `pack.name`.
    #[must_use]
    pub const fn read(name: &'static str) -> Self {
        Self::new(name, Risk::Low)
    }

    /// Maintains: `medium`, not on a standby, idempotent.
    #[must_use]
    pub const fn maintain(name: &'static str) -> Self {
        let mut action = Self::new(name, Risk::Medium);
        action.works_on_standby = false;
        action
    }

    /// Acts on somebody's work: `high`, works on a standby, not idempotent.
    #[must_use]
    pub const fn act(name: &'static str) -> Self {
        let mut action = Self::new(name, Risk::High);
        action.idempotent = false;
        action
    }

    /// A few words for a person.
    #[must_use]
    pub const fn title(mut self, title: &'static str) -> Self {
        self.title = title;
        self
    }

    /// What it does, when to use it and what its answer means: this is what an agent chooses by.
    #[must_use]
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Another risk than the constructor's.
    #[must_use]
    pub const fn risk(mut self, risk: Risk) -> Self {
        self.risk = risk;
        self
    }

    /// Its parameters, in order.
    #[must_use]
    pub const fn params(mut self, params: &'static [Param]) -> Self {
        self.params = params;
        self
    }

    /// The statements that its run may request.
    #[must_use]
    pub const fn statements(mut self, statements: &'static [&'static Statement]) -> Self {
        self.run_statements = statements;
        self
    }

    /// What changes in the world, for the approver.
    #[must_use]
    pub const fn side_effects(mut self, effects: &'static str) -> Self {
        self.side_effects = effects;
        self
    }

    /// What it needs of the target's role, each exactly one of: a predefined role such as `pg_monitor` or `pg_signal_backend`,
    /// `extension NAME`, `SELECT ON RELATION schema.name`, `EXECUTE ON FUNCTION schema.name(argtypes)`, `MAINTAIN ON TABLE`.
    /// The host refuses any other text, and tells operators the grants that are missing.
    #[must_use]
    pub const fn privileges(mut self, privileges: &'static [&'static str]) -> Self {
        self.privileges = privileges;
        self
    }

    /// Whether it works on a standby.
    #[must_use]
    pub const fn on_standby(mut self, works: bool) -> Self {
        self.works_on_standby = works;
        self
    }

    /// Whether running it twice does no more than running it once.
    #[must_use]
    pub const fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// One to three situations, in the words of a person on call, each with the arguments as a JSON object.
    #[must_use]
    pub const fn examples(mut self, examples: &'static [(&'static str, &'static str)]) -> Self {
        self.examples = match examples {
            [] => [None; 3],
            [a] => [Some(Example::new(a)), None, None],
            [a, b] => [Some(Example::new(a)), Some(Example::new(b)), None],
            [a, b, c, ..] => [Some(Example::new(a)), Some(Example::new(b)), Some(Example::new(c))],
        };
        self
    }

    /// Other words that a person on call would use for what this is about, in lower case: at most 32 words or short phrases.
    /// Title, description and examples are searched anyway.
    #[must_use]
    pub const fn search_terms(mut self, terms: &'static [&'static str]) -> Self {
        self.search_terms = terms;
        self
    }

    /// Its code. Without it, the action must name one statement; that is executed with inputs taken by name from the
    /// arguments, and its rows are the answer ([`Call::report`]).
    #[must_use]
    pub const fn run(mut self, run: Run) -> Self {
        self.run = Some(run);
        self
    }

    /// What it looks at before a person is asked, and the statements (of mode `read`) that it may request for that.
    ///
    /// When policy lets a call through without asking anybody, there are no pins; the preview then runs first, as a part
    /// of the run, and its pins are given to the run. So code that needs a pin always has it.
    #[must_use]
    pub const fn preview(mut self, statements: &'static [&'static Statement], preview: Preview) -> Self {
        self.preview_statements = statements;
        self.preview = Some(preview);
        self
    }

    /// Finds problems that the host's own checks of the arguments can't. It can't query.
    #[must_use]
    pub const fn validate(mut self, validate: Validate) -> Self {
        self.validate = Some(validate);
        self
    }
}

/// A pack: its name, version and actions. Keep it in a `static` and give it to [`export!`](crate::export).
#[derive(Clone, Copy)]
pub struct Pack {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) homepage: &'static str,
    pub(crate) actions: &'static [&'static Action],
}

impl Pack {
    /// A pack. Name: `^[a-z][a-z0-9-]{0,62}$`; version: `1.2.3`, best as `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, summary: "", homepage: "", actions: &[] }
    }

    /// What it is for, in one line.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// An https address.
    #[must_use]
    pub const fn homepage(mut self, homepage: &'static str) -> Self {
        self.homepage = homepage;
        self
    }

    /// Its actions. Their statements are the pack's statements; there is no second list to keep in step.
    #[must_use]
    pub const fn actions(mut self, actions: &'static [&'static Action]) -> Self {
        self.actions = actions;
        self
    }

    pub(crate) fn action(&self, name: &str) -> Option<&'static Action> {
        self.actions.iter().copied().find(|action| action.name == name)
    }
}

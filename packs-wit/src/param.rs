//! The parameters of an action: name, type with bounds, default. The host checks every argument against them before a
//! pack sees it.

/// A parameter. Make one with the constructor of its type; it is required until it is given a default or made optional.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) kind: ParamKind,
    pub(crate) required: bool,
    pub(crate) default: Literal,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ParamKind {
    Boolean,
    Integer(i64, i64),
    Number(f64, f64),
    Text(u32, &'static str),
    Identifier,
    Choice(&'static [&'static str]),
}

/// A value that a constant can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(&'static str),
}

impl Param {
    const fn new(name: &'static str, kind: ParamKind) -> Self {
        Self { name, description: "", kind, required: true, default: Literal::Null }
    }

    /// `true` or `false`.
    #[must_use]
    pub const fn boolean(name: &'static str) -> Self {
        Self::new(name, ParamKind::Boolean)
    }

    /// A whole number, bounds inclusive.
    #[must_use]
    pub const fn integer(name: &'static str, min: i64, max: i64) -> Self {
        Self::new(name, ParamKind::Integer(min, max))
    }

    /// A number, bounds inclusive.
    #[must_use]
    pub const fn number(name: &'static str, min: f64, max: f64) -> Self {
        Self::new(name, ParamKind::Number(min, max))
    }

    /// Text of at most `max_length` characters that matches `pattern` as a whole (a regular expression without look-around
    /// and back-references). There is no free text.
    #[must_use]
    pub const fn text(name: &'static str, max_length: u32, pattern: &'static str) -> Self {
        Self::new(name, ParamKind::Text(max_length, pattern))
    }

    /// A PostgreSQL identifier, `^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`. It reaches a pack as text.
    #[must_use]
    pub const fn identifier(name: &'static str) -> Self {
        Self::new(name, ParamKind::Identifier)
    }

    /// One of a list. It reaches a pack as text.
    #[must_use]
    pub const fn choice(name: &'static str, options: &'static [&'static str]) -> Self {
        Self::new(name, ParamKind::Choice(options))
    }

    /// What it means and in which unit: for people and models.
    #[must_use]
    pub const fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// May be left out; then it is null.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// May be left out; then it is this number. For [`Param::integer`].
    #[must_use]
    pub const fn default(mut self, value: i64) -> Self {
        self.required = false;
        self.default = Literal::Integer(value);
        self
    }

    /// May be left out; then it is this number. For [`Param::number`].
    #[must_use]
    pub const fn default_number(mut self, value: f64) -> Self {
        self.required = false;
        self.default = Literal::Number(value);
        self
    }

    /// May be left out; then it is this. For [`Param::boolean`].
    #[must_use]
    pub const fn default_boolean(mut self, value: bool) -> Self {
        self.required = false;
        self.default = Literal::Boolean(value);
        self
    }

    /// May be left out; then it is this. For [`Param::text`], [`Param::identifier`] and [`Param::choice`].
    #[must_use]
    pub const fn default_text(mut self, value: &'static str) -> Self {
        self.required = false;
        self.default = Literal::Text(value);
        self
    }
}

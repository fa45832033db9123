//! Declared statements: the only SQL that a pack can ever have run.

/// How a statement runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In a `READ ONLY` transaction that is rolled back.
    Read,
    /// In a transaction of its own that is committed.
    Act,
    /// Alone on a connection of its own, outside any transaction.
    Maintain,
}

/// The type of a statement's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bound as `bool`.
    Boolean,
    /// Bound as `int8`.
    Integer,
    /// Bound as `float8`.
    Number,
    /// Bound as `text`.
    Text,
    /// Not bound: the host writes the quoted identifier for `:"name"`. Only in statements that maintain ([`Statement::maintain`]).
    Identifier,
    /// Bound as `int8[]`.
    Integers,
    /// Bound as `text[]`.
    Texts,
}

/// A typed input of a statement.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

impl Input {
    /// An input. Its name is also where its value comes from, unless the call gives one: the argument or pin so named.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

/// What a column of a result holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// `bool`
    Boolean,
    /// `int8`
    Integer,
    /// `float8`
    Number,
    /// `text`
    Text,
    /// `text` of somebody's SQL. The host removes its literals and cuts it before anyone sees it.
    Query,
}

/// A column of a result. Cells are of its kind or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
}

impl Column {
    /// A `bool` column.
    #[must_use]
    pub const fn boolean(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Boolean }
    }

    /// An `int8` column.
    #[must_use]
    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Integer }
    }

    /// A `float8` column.
    #[must_use]
    pub const fn number(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Number }
    }

    /// A `text` column.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Text }
    }

    /// A `text` column that holds somebody's SQL: the host removes the literals and cuts it at 200 characters.
    #[must_use]
    pub const fn query(name: &'static str) -> Self {
        Self { name, kind: ColumnKind::Query }
    }
}

/// Where in a topology a variant works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Anywhere.
    Any,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension {
    pub(crate) name: &'static str,
    pub(crate) min: &'static str,
    pub(crate) below: &'static str,
}

/// One wording of a statement for a range of servers. Of a statement's variants exactly one must fit each server.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub(crate) min: u32,
    pub(crate) below: u32,
    pub(crate) extension: Option<Extension>,
    pub(crate) role: Role,
    pub(crate) sql: &'static str,
}

impl Variant {
    /// For every server.
    #[must_use]
    pub const fn all(sql: &'static str) -> Self {
        Self { min: 0, below: 0, extension: None, role: Role::Any, sql }
    }

    /// For this major version and later.
    #[must_use]
    pub const fn from(major: u32, sql: &'static str) -> Self {
        Self { min: major, below: 0, extension: None, role: Role::Any, sql }
    }

    /// For major versions before this one.
    #[must_use]
    pub const fn before(major: u32, sql: &'static str) -> Self {
        Self { min: 0, below: major, extension: None, role: Role::Any, sql }
    }

    /// Only before this major version; after [`Variant::from`], for a range.
    #[must_use]
    pub const fn below(mut self, major: u32) -> Self {
        self.below = major;
        self
    }

    /// Only on a primary.
    #[must_use]
    pub const fn primary(mut self) -> Self {
        self.role = Role::Primary;
        self
    }

    /// Only on a standby.
    #[must_use]
    pub const fn standby(mut self) -> Self {
        self.role = Role::Standby;
        self
    }

    /// Only with this extension, `min <= version < below`; empty for no bound. The SQL writes its schema as
    /// `:"extension_schema"`.
    #[must_use]
    pub const fn extension(mut self, name: &'static str, min: &'static str, below: &'static str) -> Self {
        self.extension = Some(Extension { name, min, below });
        self
    }
}

/// A declared statement. Keep it in a `static`: actions name it by reference, so that a misspelt one doesn't compile.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    pub(crate) id: &'static str,
    pub(crate) mode: Mode,
    pub(crate) inputs: &'static [Input],
    pub(crate) columns: &'static [Column],
    pub(crate) variants: &'static [Variant],
    pub(crate) max_rows: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) must_match: bool,
}

impl Statement {
    const fn new(id: &'static str, mode: Mode) -> Self {
        Self { id, mode, inputs: &[], columns: &[], variants: &[], max_rows: 200, timeout_ms: 5_000, must_match: false }
    }

    /// Runs in a `READ ONLY` transaction that is rolled back: one `SELECT`.
    #[must_use]
    pub const fn read(id: &'static str) -> Self {
        Self::new(id, Mode::Read)
    }

    /// Runs in a transaction that is committed: one `SELECT` that signals, or a change of rows.
    #[must_use]
    pub const fn act(id: &'static str) -> Self {
        Self::new(id, Mode::Act)
    }

    /// Runs alone, outside any transaction: `VACUUM`, `ANALYZE` or `REINDEX INDEX CONCURRENTLY`. It has no columns.
    #[must_use]
    pub const fn maintain(id: &'static str) -> Self {
        Self::new(id, Mode::Maintain)
    }

    /// Its inputs: `$1`, `$2` … in this order. Identifiers take no number.
    #[must_use]
    pub const fn inputs(mut self, inputs: &'static [Input]) -> Self {
        self.inputs = inputs;
        self
    }

    /// Its output, the same for every variant. The SQL casts to exactly `bool`, `int8`, `float8` or `text`.
    #[must_use]
    pub const fn columns(mut self, columns: &'static [Column]) -> Self {
        self.columns = columns;
        self
    }

    /// Its wordings.
    #[must_use]
    pub const fn variants(mut self, variants: &'static [Variant]) -> Self {
        self.variants = variants;
        self
    }

    /// From 1 to 10,000; more rows are an error, not a cut. 200 where nothing is said.
    #[must_use]
    pub const fn max_rows(mut self, rows: u32) -> Self {
        self.max_rows = rows;
        self
    }

    /// Milliseconds; 5,000 where nothing is said, at most 3,600,000. 0 is none, which only a `maintain` statement may say.
    #[must_use]
    pub const fn timeout_ms(mut self, milliseconds: u32) -> Self {
        self.timeout_ms = milliseconds;
        self
    }

    /// No rows mean that the world is no longer what was approved: the host answers `target_changed`.
    #[must_use]
    pub const fn must_match(mut self) -> Self {
        self.must_match = true;
        self
    }
}

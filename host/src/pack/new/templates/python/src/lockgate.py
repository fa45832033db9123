"""Lockgate packs in Python: what a pack declares, and what its code is given.

A pack is a set of actions. An action runs only statements that it declares, on behalf of an agent whose arguments the host has
checked. This module turns plain declarations and functions into the contract of `wit/pack.wit`:

    BIG = lockgate.read("big", inputs={"limit": "integer"}, columns={"name": "text", "pages": "integer"}, sql="SELECT …")

    pack = lockgate.Pack("sizes", "1.0.0", "What takes up the space")

    @pack.action("Big tables", statements=[BIG], params={"limit": lockgate.integer(1, 200, default=20)})
    def big(call):
        \"\"\"The largest tables.\"\"\"
        return lockgate.Outcome("the largest tables", tables={"Tables": call.execute(BIG)})

    Actions = pack.exports()

It runs once while the pack is built; what is there then is kept, and every call starts from it anew. There is no clock, no file
and no network in a call, and `random` gives the same numbers in each.
"""

import inspect
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import actions as wit
from wit_world.imports import query

# --- Values -----------------------------------------------------------------------------------------------------------------

_WRAP = {
    "boolean": lambda v: query.Value_Boolean(bool(v)),
    "integer": lambda v: query.Value_Integer(int(v)),
    "number": lambda v: query.Value_Number(float(v)),
    "text": lambda v: query.Value_Text(str(v)),
    "query": lambda v: query.Value_Text(str(v)),
    "identifier": lambda v: query.Value_Text(str(v)),
    "integers": lambda v: query.Value_Integers([int(one) for one in v]),
    "texts": lambda v: query.Value_Texts([str(one) for one in v]),
}


def _wrap(kind, value):
    return query.Value_Null() if value is None else _WRAP[kind](value)


def _guess(value):
    """A value of whatever kind a Python value is; for defaults and pins."""
    if isinstance(value, bool):
        return _wrap("boolean", value)
    if isinstance(value, (list, tuple)):
        return _wrap("integers" if all(isinstance(one, int) for one in value) else "texts", value)
    kind = {int: "integer", float: "number", str: "text"}.get(type(value))
    if value is not None and kind is None:
        raise TypeError(f"a {type(value).__name__} can't cross to the host")
    return _wrap(kind, value)


def _unwrap(value):
    return getattr(value, "value", None)


# --- Declarations -----------------------------------------------------------------------------------------------------------


class Param:
    """An argument of an action. Without a default it is required, unless it is `optional`."""

    def __init__(self, kind, default, optional, description):
        self.kind, self.default, self.description = kind, default, description
        self.required = default is None and not optional


def boolean(*, default=None, optional=False, description=""):
    return Param(wit.ParamType_Boolean(), default, optional, description)


def integer(minimum, maximum, *, default=None, optional=False, description=""):
    return Param(wit.ParamType_Integer(wit.IntegerRange(minimum, maximum)), default, optional, description)


def number(minimum, maximum, *, default=None, optional=False, description=""):
    default = None if default is None else float(default)
    return Param(wit.ParamType_Number(wit.NumberRange(float(minimum), float(maximum))), default, optional, description)


def text(max_length, pattern, *, default=None, optional=False, description=""):
    """Text that the pattern matches as a whole. There is no free text."""
    return Param(wit.ParamType_Text(wit.TextRule(max_length, pattern)), default, optional, description)


def identifier(*, default=None, optional=False, description=""):
    return Param(wit.ParamType_Identifier(), default, optional, description)


def choice(options, *, default=None, optional=False, description=""):
    return Param(wit.ParamType_Choice(list(options)), default, optional, description)


class Variant:
    """One wording of a statement, for majors from `minimum` on and before `below`; for an extension's versions likewise."""

    def __init__(self, sql, *, minimum=0, below=0, role="any", extension=None, extension_min="", extension_below=""):
        of = wit.ExtensionRange(extension, extension_min, extension_below) if extension else None
        self.wit = wit.VariantSql(minimum, below, of, wit.Role[role.upper()], inspect.cleandoc(sql))


class Statement:
    """The only SQL there is. Made by `read`, `act` and `maintain`."""

    def __init__(self, mode, name, *, columns=None, sql=None, variants=None, inputs=None, max_rows=1000, timeout_ms=5000, must_match=False):
        if (sql is None) == (variants is None):
            raise TypeError(f"statement {name}: give `sql` or `variants`")
        self.name, self.mode, self.inputs, self.columns = name, mode, inputs or {}, columns or {}
        self.variants = variants or [Variant(sql)]
        self.max_rows, self.timeout_ms, self.must_match = max_rows, timeout_ms, must_match

    def describe(self):
        return wit.Statement(
            self.name,
            wit.Mode[self.mode],
            [wit.Input(name, wit.InputType[kind.upper()]) for name, kind in self.inputs.items()],
            _columns(self.columns),
            [variant.wit for variant in self.variants],
            self.max_rows,
            self.timeout_ms,
            wit.WhenEmpty.TARGET_CHANGED if self.must_match else wit.WhenEmpty.FINE,
        )


def _columns(columns):
    return [query.Column(name, query.ColumnKind[kind.upper()]) for name, kind in columns.items()]


def read(name, **declared):
    """A SELECT in a read-only transaction."""
    return Statement("READ", name, **declared)


def act(name, **declared):
    """A SELECT with an effect, in a transaction of its own. `must_match`: no row means that the world has changed."""
    return Statement("ACT", name, **declared)


def maintain(name, **declared):
    """VACUUM, ANALYZE or REINDEX, alone. Identifiers are written as `:"name"`."""
    return Statement("MAINTAIN", name, **declared)


# --- What a call works with -------------------------------------------------------------------------------------------------


class Failure(Exception):
    """Ends a call with an answer that is no result. Raise one of its kinds."""

    def wit(self):
        return wit.Failure_Internal(str(self))


class NotFound(Failure):
    """What the call names does not exist."""

    def wit(self):
        return wit.Failure_NotFound(str(self))


class NothingToDo(Failure):
    """There is nothing for the action to do, so nobody is asked to approve it."""

    def wit(self):
        return wit.Failure_NothingToDo(str(self))


class NotApplicable(Failure):
    """It could be done but would not help; says what would."""

    def wit(self):
        return wit.Failure_NotApplicable(str(self))


class NoEffect(Failure):
    """The effect did not come about."""

    def wit(self):
        return wit.Failure_NoEffect(str(self))


class TargetChanged(Failure):
    """What was pinned is no longer so."""

    def wit(self):
        return wit.Failure_TargetChanged(str(self))


class MissingPrivilege(Failure):
    """The role may not see or do what the answer needs. The host tells which grants the action's privileges come to."""

    def wit(self):
        return wit.Failure_Query(query.QueryError_MissingPrivilege(str(self)))


class QueryError(Failure):
    """Why a statement gave no rows: `kind` is the contract's word, such as `timeout` or `missing-privilege`."""

    def __init__(self, error):
        self.error = error
        name = type(error).__name__.removeprefix("QueryError_")
        self.kind = "".join("-" + c.lower() if c.isupper() else c for c in name).lstrip("-")
        super().__init__(f"{self.kind}: {_unwrap(error)}")

    def wit(self):
        return wit.Failure_Query(self.error)


class Rows:
    """A result, held by the host. Handed on in a table no cell of it is copied; cells are fetched when they are asked for."""

    def __init__(self, handle, columns):
        self._handle, self._names = handle, list(columns)

    def __len__(self):
        return self._handle.count()

    def __getitem__(self, column):
        """A column, top to bottom."""
        return [_unwrap(cell) for cell in self._handle.column(self._names.index(column))]

    def __iter__(self):
        """The rows as dictionaries."""
        columns = [self[name] for name in self._names]
        return (dict(zip(self._names, cells)) for cells in zip(*columns))

    def first(self):
        """The first row, or None."""
        return next(iter(self), None)

    def wit(self):
        return wit.TableData_Held(self._handle)


class Built:
    """A table that the pack makes: column names with their kinds, and rows as dictionaries."""

    def __init__(self, columns, rows):
        self._columns, self._rows = columns, rows

    def wit(self):
        cells = [[_wrap(kind, row[name]) for name, kind in self._columns.items()] for row in self._rows]
        return wit.TableData_Built(wit.BuiltTable(_columns(self._columns), cells))


class Outcome:
    """The answer: a sentence of the pack's own, and tables by title. Text from the database belongs into tables only.

    `findings` are pairs of a severity (`ok`, `notice`, `warning`, `critical`) and a sentence; `suggestion` is the full name of an
    action, its arguments, and why."""

    def __init__(self, summary, *, tables=None, notices=(), findings=(), suggestion=None):
        self.summary, self.tables, self.notices = summary, tables or {}, list(notices)
        self.findings, self.suggestion = list(findings), suggestion

    def wit(self):
        suggestion = self.suggestion and wit.Suggestion(self.suggestion[0], json.dumps(self.suggestion[1]), self.suggestion[2])
        findings = [wit.Finding(wit.Severity[severity.upper()], said) for severity, said in self.findings]
        return wit.Outcome(self.summary, _tables(self.tables), self.notices, findings, suggestion)


class Evidence:
    """What a person sees before they decide, and the facts that their approval rests on, by name."""

    def __init__(self, summary, *, tables=None, pins=None):
        self.summary, self.tables, self.pins = summary, tables or {}, pins or {}

    def wit(self):
        return wit.Evidence(self.summary, _tables(self.tables), [wit.Pin(name, _guess(v)) for name, v in self.pins.items()])


def _tables(tables):
    return [wit.Table(title, rows.wit()) for title, rows in tables.items()]


class Call:
    """One call: its arguments and pins by name, and the way to run statements."""

    def __init__(self, arguments, pins):
        self.arguments, self.pins = arguments, pins

    def __getitem__(self, name):
        """An argument; `None` where an optional one was not given."""
        return self.arguments[name]

    def execute(self, statement, **given):
        """Runs a statement of this action. Inputs that are not given are taken by name from the pins and the arguments."""
        known = {**self.arguments, **self.pins, **given}
        inputs = [_wrap(kind, known[name]) for name, kind in statement.inputs.items()]
        try:
            return Rows(query.execute(statement.name, inputs), statement.columns)
        except Err as error:
            raise QueryError(error.value) from None


# --- The pack ---------------------------------------------------------------------------------------------------------------

_RISK = {"READ": "low", "MAINTAIN": "medium", "ACT": "high"}


class Action:
    """What `@pack.action` makes of a function."""

    def __init__(self, run, title, statements, params, risk, privileges, side_effects, on_standby, idempotent, examples, search_terms):
        self.name, self.description = run.__name__, " ".join(inspect.getdoc(run).split())
        self.run, self.title, self.statements, self.params = run, title, list(statements), params or {}
        self.risk = risk or max((_RISK[s.mode] for s in self.statements), key=["low", "medium", "high"].index)
        self.privileges, self.side_effects, self.on_standby = list(privileges), side_effects, on_standby
        self.idempotent = all(s.mode == "READ" for s in self.statements) if idempotent is None else idempotent
        self.examples, self.search_terms = examples or [], list(search_terms)
        self.preview_statements, self.show, self.check = [], None, None

    def preview(self, *statements):
        """Decorates the function that gathers `Evidence` for a call that waits for a person."""

        def keep(show):
            self.preview_statements, self.show = list(statements), show
            return show

        return keep

    def validate(self, check):
        """Decorates the function that yields pairs of an argument and what is wrong with it. It can't query."""
        self.check = check
        return check

    def describe(self):
        return wit.Action(
            self.name,
            self.title,
            self.description,
            wit.Risk[self.risk.upper()],
            [wit.Param(name, p.description, p.kind, p.required, _guess(p.default)) for name, p in self.params.items()],
            [s.name for s in self.statements],
            [s.name for s in self.preview_statements],
            self.side_effects,
            self.privileges,
            self.on_standby,
            self.idempotent,
            [wit.Example(situation, json.dumps(arguments)) for situation, arguments in self.examples],
            self.search_terms,
        )

    def call(self, arguments, pins=()):
        by_name = dict(zip(self.params, (_unwrap(value) for value in arguments)))
        return Call(by_name, {pin.name: _unwrap(pin.value) for pin in pins})


class Pack:
    """A pack: its name, its semantic version and a line about it."""

    def __init__(self, name, version, summary, homepage=""):
        self.name, self.version, self.summary, self.homepage = name, version, summary, homepage
        self.actions = {}

    def action(self, title, *, statements, params=None, risk=None, privileges=(), side_effects="", on_standby=True, idempotent=None, examples=(), search_terms=()):
        """Makes a function an action: its name is the action's, its docstring the description."""

        def add(run):
            made = Action(
                run, title, statements, params, risk, privileges, side_effects, on_standby, idempotent, examples, search_terms
            )
            self.actions[made.name] = made
            return made

        return add

    def describe(self):
        statements = {}
        for action in self.actions.values():
            for statement in [*action.statements, *action.preview_statements]:
                statements[statement.name] = statement
        return wit.Manifest(
            self.name,
            self.version,
            self.summary,
            self.homepage,
            [action.describe() for action in self.actions.values()],
            [statement.describe() for statement in statements.values()],
        )

    def exports(pack):
        """The class that componentize-py looks for under the name `Actions`."""

        class Actions(exports.Actions):
            def describe(self):
                return pack.describe()

            def validate(self, action, arguments):
                found = pack.actions[action]
                problems = found.check(found.call(arguments)) if found.check else ()
                return [wit.Problem(argument, message) for argument, message in problems or ()]

            def preview(self, action, arguments):
                found = pack.actions[action]
                if found.show is None:
                    return Evidence(found.title).wit()
                return _answer(lambda: found.show(found.call(arguments)))

            def run(self, action, arguments, pins):
                found = pack.actions[action]
                return _answer(lambda: found.run(found.call(arguments, pins)))

        return Actions


def _answer(work):
    try:
        return work().wit()
    except Failure as failure:
        raise Err(failure.wit()) from None
    except Exception as error:  # a defect of the pack: said, and not a trap
        raise Err(wit.Failure_Internal(f"{type(error).__name__}: {error}")) from None

//! The allow-list of constructs, continued: statements that change rows, and those that maintain a table or an index.

use pg_query::{Node, NodeEnum as N, protobuf as pg};

use super::{
    Class,
    grammar::Walk,
    names::{is_extension_schema, shown},
    placeholders::MARK,
};

impl Walk<'_> {
    pub(super) fn insert(&mut self, insert: &pg::InsertStmt) {
        let pg::InsertStmt {
            relation,
            cols,
            select_stmt,
            on_conflict_clause,
            returning_clause,
            with_clause,
            r#override: _,
        } = insert;
        self.class = Class::Write;
        let scoped = self.with(with_clause.as_ref());
        self.written(relation.as_ref());
        self.targets(cols);
        match select_stmt.as_ref().map(|node| node.node.as_ref()) {
            None => {}
            Some(Some(N::SelectStmt(select))) => self.select(select),
            Some(_) => self.refuse_construct(-1, "this source of rows"),
        }
        if let Some(clause) = on_conflict_clause {
            let pg::OnConflictClause { action: _, infer, target_list, where_clause, location: _ } = &**clause;
            if let Some(infer) = infer {
                let pg::InferClause { index_elems, where_clause, conname: _, location: _ } = &**infer;
                self.each(index_elems);
                self.maybe(where_clause.as_deref());
            }
            self.targets(target_list);
            self.maybe(where_clause.as_deref());
        }
        self.returning(returning_clause.as_ref());
        self.leave(scoped);
    }

    pub(super) fn update(&mut self, update: &pg::UpdateStmt) {
        let pg::UpdateStmt { relation, target_list, where_clause, from_clause, returning_clause, with_clause } = update;
        self.class = Class::Write;
        let scoped = self.with(with_clause.as_ref());
        self.written(relation.as_ref());
        self.targets(target_list);
        self.each(from_clause);
        self.required_where(where_clause.as_deref());
        self.returning(returning_clause.as_ref());
        self.leave(scoped);
    }

    pub(super) fn delete(&mut self, delete: &pg::DeleteStmt) {
        let pg::DeleteStmt { relation, using_clause, where_clause, returning_clause, with_clause } = delete;
        self.class = Class::Write;
        let scoped = self.with(with_clause.as_ref());
        self.written(relation.as_ref());
        self.each(using_clause);
        self.required_where(where_clause.as_deref());
        self.returning(returning_clause.as_ref());
        self.leave(scoped);
    }

    /// An UPDATE or DELETE of every row is never what a reviewed action means.
    fn required_where(&mut self, clause: Option<&Node>) {
        if clause.is_none() {
            self.refuse("kinds", -1, "there is no WHERE: it would change every row", "say which rows");
        }
        self.maybe(clause);
    }

    fn returning(&mut self, clause: Option<&pg::ReturningClause>) {
        let Some(pg::ReturningClause { options, exprs }) = clause else {
            return;
        };
        if !options.is_empty() {
            self.refuse_construct(-1, "RETURNING WITH");
        }
        self.targets(exprs);
    }

    /// A relation whose rows are changed.
    fn written(&mut self, relation: Option<&pg::RangeVar>) {
        let Some(pg::RangeVar { catalogname, schemaname, relname, inh: _, relpersistence: _, alias, location }) =
            relation
        else {
            return self.refuse_construct(-1, "a statement without a target");
        };
        self.alias(alias.as_ref());
        self.touches(schemaname, relname, "");
        if !catalogname.is_empty() || schemaname.is_empty() {
            self.refuse(
                "qualified",
                *location,
                "the target is not written as schema.relation",
                "write schema.relation",
            );
        } else if schemaname.starts_with("pg_") || schemaname == "information_schema" {
            self.refuse("relations", *location, "the target is a system catalog", "system catalogs are never written");
        } else if schemaname.starts_with(MARK) || relname.starts_with(MARK) {
            self.refuse("placeholders", *location, "the target is a placeholder", "write the target's name");
        }
    }

    /// The object of VACUUM, ANALYZE or REINDEX.
    fn maintained(&mut self, relation: &pg::RangeVar) {
        let pg::RangeVar { catalogname, schemaname, relname, inh, relpersistence: _, alias, location } = relation;
        self.touches(schemaname, relname, "");
        if !catalogname.is_empty() || schemaname.is_empty() || !inh || alias.is_some() {
            self.refuse("qualified", *location, "the object is not written as schema.name", "write schema.name");
        }
        for part in [schemaname, relname] {
            if is_extension_schema(part) {
                self.refuse(
                    "placeholders",
                    *location,
                    "an extension's schema is not maintained",
                    "declare an identifier",
                );
            }
            self.placeholders += usize::from(part.starts_with(MARK));
        }
    }

    pub(super) fn vacuum(&mut self, vacuum: &pg::VacuumStmt) {
        const VACUUM: &[&str] = &[
            "analyze",
            "buffer_usage_limit",
            "freeze",
            "index_cleanup",
            "parallel",
            "process_main",
            "process_toast",
            "skip_locked",
            "truncate",
            "verbose",
        ];
        const ANALYZE: &[&str] = &["buffer_usage_limit", "skip_locked", "verbose"];
        let pg::VacuumStmt { options, rels, is_vacuumcmd } = vacuum;
        self.class = Class::Maintain;
        self.options(options, if *is_vacuumcmd { VACUUM } else { ANALYZE });
        match rels.as_slice() {
            [
                Node {
                    node: Some(N::VacuumRelation(pg::VacuumRelation { relation: Some(relation), oid: 0, va_cols })),
                },
            ] if va_cols.is_empty() => {
                self.maintained(relation);
            }
            _ => self.refuse(
                "kinds",
                -1,
                "it is not for exactly one relation as a whole",
                "name one relation, no columns",
            ),
        }
    }

    pub(super) fn reindex(&mut self, reindex: &pg::ReindexStmt) {
        let pg::ReindexStmt { kind, relation, name, params } = reindex;
        self.class = Class::Maintain;
        self.options(params, &["concurrently", "verbose"]);
        // Only the bare word: `(CONCURRENTLY false)` is an option of that name too.
        let concurrently = params.iter().any(|param| match &param.node {
            Some(N::DefElem(option)) => option.defname == "concurrently" && option.arg.is_none(),
            _ => false,
        });
        if !concurrently || params.len() > 2 {
            self.refuse("kinds", -1, "REINDEX without CONCURRENTLY locks out writers", "write REINDEX … CONCURRENTLY");
        }
        let object = matches!(
            pg::ReindexObjectType::try_from(*kind),
            Ok(pg::ReindexObjectType::ReindexObjectIndex | pg::ReindexObjectType::ReindexObjectTable)
        );
        match relation {
            Some(relation) if object && name.is_empty() => self.maintained(relation),
            _ => self.refuse("kinds", -1, "it is not for one index or table", "write REINDEX INDEX or REINDEX TABLE"),
        }
    }

    fn options(&mut self, options: &[Node], allowed: &[&str]) {
        let mut seen = Vec::new();
        for node in options {
            let Some(N::DefElem(option)) = &node.node else {
                self.refuse_construct(-1, "this option");
                continue;
            };
            let pg::DefElem { defnamespace, defname, arg, defaction: _, location, arg_location: _ } = &**option;
            let constant = match arg.as_ref().map(|arg| arg.node.as_ref()) {
                None | Some(Some(N::Integer(_) | N::Boolean(_))) => true,
                Some(Some(N::String(text))) => !text.sval.starts_with(MARK),
                Some(_) => false,
            };
            if !defnamespace.is_empty() || !allowed.contains(&defname.as_str()) || !constant || seen.contains(&defname)
            {
                let message = format!("option `{}` is not allowed here", shown(defname));
                self.refuse("kinds", *location, message, "remove the option");
            }
            seen.push(defname);
        }
    }
}

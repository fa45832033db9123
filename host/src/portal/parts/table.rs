//! A table with a caption. On a phone each row is a card whose cells are named by their columns, and so it is on every screen
//! where there are many columns, so it is never wider than the screen; the markup stays a table for those who listen to it.

use maud::{Markup, html};

/// One cell.
pub struct Cell {
    content: Markup,
    is_number: bool,
}

impl Cell {
    /// What stands in it.
    #[must_use]
    pub fn new(content: Markup) -> Self {
        Self { content, is_number: false }
    }

    /// Plain text.
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        Self::new(html! { (text) })
    }

    /// A number, which stands right.
    #[must_use]
    pub fn number(number: impl std::fmt::Display) -> Self {
        let number = number.to_string();
        Self { content: html! { (number) }, is_number: true }
    }
}

impl From<Markup> for Cell {
    fn from(content: Markup) -> Self {
        Self::new(content)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// With more columns than this a table is too wide for any screen.
const MANY: usize = 7;

/// Rows under named columns.
pub struct Table {
    caption: String,
    is_named_above: bool,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
    none: String,
}

impl Table {
    /// With a caption, which says what the rows are, and columns. A column without a name holds what can be done.
    #[must_use]
    pub fn new<'a>(caption: impl Into<String>, columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            caption: caption.into(),
            is_named_above: false,
            columns: columns.into_iter().map(str::to_owned).collect(),
            rows: Vec::new(),
            none: "There is none.".to_owned(),
        }
    }

    /// What is said when there are no rows.
    #[must_use]
    pub fn or_say(self, none: impl Into<String>) -> Self {
        Self { none: none.into(), ..self }
    }

    /// The page's heading says what the rows are; the caption is for those who listen.
    #[must_use]
    pub fn named_above(self) -> Self {
        Self { is_named_above: true, ..self }
    }

    /// One more row; its first cell names it.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether a column's first cell is a number.
    fn is_of_numbers(&self, column: usize) -> bool {
        column > 0 && self.rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.is_number)
    }

    /// The table, or what is said without rows.
    #[must_use]
    pub fn show(&self) -> Markup {
        html! {
            @if self.rows.is_empty() {
                section.none {
                    h2.caption { (self.caption) }
                    p.quiet { (self.none) }
                }
            } @else {
                // Shown as blocks on a phone, it would be a table no longer for those who listen, but for the roles.
                table.cards.many[self.columns.len() > MANY] role="table" {
                    caption.unseen[self.is_named_above] { (self.caption) }
                    thead role="rowgroup" { tr role="row" {
                        @for (at, column) in self.columns.iter().enumerate() {
                            th.number[self.is_of_numbers(at)] scope="col" role="columnheader" { @if column.is_empty() { span.unseen { "Actions" } } @else { (column) } }
                        }
                    } }
                    tbody role="rowgroup" {
                        @for row in &self.rows { tr role="row" {
                            @for (at, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
                                @if at == 0 {
                                    th scope="row" role="rowheader" data-column=(column) { (cell.content) }
                                } @else {
                                    // One box: on a phone the column's name stands beside it.
                                    td.number[cell.is_number] role="cell" data-column=(column) { div { (cell.content) } }
                                }
                            }
                        } }
                    }
                }
            }
        }
    }
}

//! The documentation as a book: every page is in its table of contents, every link leads somewhere, and every command on a page
//! is run, as it is written and in the order in which it is written, in a world in which it means something.

mod approvals;
mod claims;
mod installing;
mod links;
mod mcp;
mod notifications;
mod operating;
mod pages;
mod portal;
mod quickstart;
mod record;
mod signing;
mod standing;
mod walk;
mod world;

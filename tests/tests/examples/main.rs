//! Packs in every language as an agent finds them: the examples, and what the pages for authors lead to.

mod first_pack;
mod packs;

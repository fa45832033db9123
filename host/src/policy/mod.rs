//! Policy: one call in, one decision with its reason out. Total, ordered by strictness, no side effects.

//! Approvals: what a person decides, the digest that binds the decision, and the states it goes through.

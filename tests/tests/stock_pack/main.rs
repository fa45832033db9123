//! The stock pack through the real gate on a real server: what each action answers, what it refuses, what it never lets
//! out, and that it acts on nothing but what a person approved. A primary and a standby are started once, see [`world`].

mod actions;
mod arguments;
mod faces;
mod health;
mod held_calls;
mod hostile;
mod idle;
mod looking_again;
mod looking_back;
mod maintenance;
mod names;
mod once;
mod pins;
mod policy;
mod privileges;
mod reload;
mod scopes;
mod standing;
mod timeouts;
mod values;
mod world;

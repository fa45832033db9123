//! People's door as browsers and attackers see it: the portal's own router on a socket, spoken to over HTTP by hand, with the
//! store and the record of a real host behind it and a clock that tests set. What needs the whole program starts it.

mod api;
mod attempts;
mod authenticator;
mod crowd;
mod decide;
mod doors;
mod forms;
mod host;
mod html;
mod issuer;
#[path = "../mcp_door/issuer.rs"]
#[allow(dead_code, reason = "here it is for its keys")]
mod keys;
mod links;
mod live;
mod logins;
mod looking;
mod oidc;
mod passkeys;
mod roles;
mod screen;
mod serve;
mod sessions;
mod standing;
mod world;

use lockgate_tests::browser;

//! The portal in a real browser: Debian's Chromium, driven by a script of `tests/clients/js`. What people do there is done here with
//! labels, names of buttons and keys, as they do it; every page is looked at by axe-core, at the width of a phone and of a
//! desk, light and dark, and its picture kept in `target/screens`. A page that asks anything of anybody but the portal, or
//! does what its own content security policy forbids, fails whatever test it is in.

mod chromium;
mod deciding;
mod doors;
mod incident;
mod keyboard;
mod looking;
mod night;
mod passkey;
mod standing;
mod tab;

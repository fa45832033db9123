//! Held calls as clients see them: rmcp's own client in both eras and over both transports, in front of a gate that holds
//! whatever it is asked until the test says what people do.

mod elicitation;
mod gate;
mod gives_up;
mod logging;
mod order;
mod page;
mod rig;
mod tasks;

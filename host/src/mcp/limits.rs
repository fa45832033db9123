//! What one agent may ask for at once and in a minute, so that one that has run wild is told so and the others notice
//! nothing. Refused calls are answered at once and are not on the record: nothing was looked at.

use super::{door::Gatekeeper, in_flight::Running, server::Server};
use crate::{
    error::{Code, Refusal},
    gate::call::Principal,
    rate::whole_seconds,
};

impl<G: Gatekeeper> Server<G> {
    /// Lets a call in until the answer is dropped.
    pub(super) fn admit(&self, principal: &Principal) -> Result<Running, Refusal> {
        let caller = principal.caller();
        let most = self.settings().calls_per_agent;
        let Some(running) = self.calls().enter(&caller, most) else {
            let message = format!("{most} calls of this agent are under way already");
            return Err(Refusal::new(Code::Overloaded, message)
                .with_remedy("wait until one of them has answered, then call again"));
        };
        match self.rate().check(&caller) {
            Ok(()) => Ok(running),
            Err(wait) => {
                let (minute, burst) = (self.settings().calls_per_minute, self.settings().burst);
                let seconds = whole_seconds(wait);
                let message =
                    format!("this agent calls too often: {minute} calls a minute are let in, {burst} at a time");
                Err(Refusal::new(Code::Overloaded, message)
                    .with_remedy(format!("wait {seconds} s, then call again, and less often from then on")))
            }
        }
    }
}

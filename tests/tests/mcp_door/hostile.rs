//! Clients that mean harm, against the real gate and a real server: tables of attempts, each a call that would act if it
//! were let through, spoilt in one way. Every one gets its status, and at the end of each table the intact call shows that
//! the door stands as it was: it acts, once, and it is the only thing that ever reached the server or was meant to.

mod bodies;
mod dropped;
mod heads;
mod lines;
mod raw;
mod sessions;
mod slow;
mod smuggling;
mod world;

use raw::Raw;
use world::World;

/// One attempt: what it is called, the status it gets, and what is done to the intact call.
type Attempt = (&'static str, u16, fn(&mut Raw));

/// Makes all attempts, one after the other, then the intact call.
async fn attempt(world: &World, intact: &Raw, attempts: &[Attempt]) {
    let mut wrong = Vec::new();
    for (name, expected, spoil) in attempts {
        let mut raw = intact.clone();
        spoil(&mut raw);
        let replies = raw.replies(world.at).await;
        match replies.as_slice() {
            [reply] if reply.status == *expected => {
                // A request that was well-formed enough for the gate is refused there, in a result.
                let refused = *expected != 200 || reply.body.contains("\"status\":\"refused\"");
                if !refused {
                    wrong.push(format!("{name}: {reply:?}"));
                }
            }
            other => wrong.push(format!("{name}: not {expected} but {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.only_the_intact_call_acts(intact).await;
}

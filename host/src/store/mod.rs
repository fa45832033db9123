//! Durable state behind one trait: approvals and their states, operations that their callers named, agents' tokens, what
//! people are to be told, the highest pack versions seen, and a few named values.
//!
//! Here are the data types that rooms above read, and the guarded transitions: each is one transaction that either did
//! what it says, durably, or did nothing. Knows nothing of the gate, of transports, of how a digest is made, or of which
//! instances are alive; it is told. Methods block: async callers use `spawn_blocking`.

mod account;
mod account_error;
mod accounts;
mod api_tokens;
mod error;
mod id;
pub mod instance;
mod model;
mod operation;
pub mod outbox;
mod packs;
mod pin;
mod review;
pub mod sqlite;
mod standing;
mod standing_error;
mod state;
mod tokens;
mod voter;

use jiff::Timestamp;

pub(crate) use self::account::keys as account_keys;
pub use self::{
    account::{
        ACCOUNT_LIMIT, Account, AccountChange, Disabled, Link, Method, NewAccount, NewLink, NewSession, PASSKEY_LIMIT,
        PortalRole, PortalRoleError, SESSION_LIMIT, Session, SessionLimits, StoredPasskey,
    },
    account_error::AccountError,
    accounts::Accounts,
    api_tokens::{API_TOKEN_LIMIT, ApiToken, ApiTokens, LONGEST_API_TOKEN, NewApiToken},
    error::{StoreError, TransitionError, code_of},
    id::{random_bytes, random_id},
    model::{
        Approval, CastVote, ConsumedApproval, Creation, DECIDE_WITHIN, Decision, EXECUTE_WITHIN, Filter, NewApproval,
        Request, RequestDigest, RequestDigestError, Requester, Terminal, Vote, person_key,
    },
    operation::{
        Claim, ClaimedOperation, FactsDigest, NewOperation, OPERATIONS_KEPT, Operation, OperationKey, OperationState,
        RESULT_LIMIT,
    },
    packs::{PackChange, PackFloor, PackVersion, Remembered},
    pin::Pin,
    review::{EvidenceDigest, Finding, REVIEWS_KEPT, Review, Seen},
    sqlite::SqliteStore,
    standing::{
        Beneficiary, Bound, ClaimedUse, Grant, LONGEST_STANDING, MOST_USES, NewStanding, NewUse, StandingApproval,
        StandingCast, StandingRevoked, StandingState, StandingUse, StandingVote,
    },
    standing_error::StandingError,
    state::State,
    tokens::{LONGEST_TOKEN, NewToken, Revocation, Revoked, TOKEN_LIMIT, Token, TokenGrant},
    voter::{Voter, says_nothing},
};

/// How many requests one agent may have pending: more than people can weigh is a way to wear them down.
pub const PENDING_LIMIT: u32 = 50;

/// The most that [`Store::list`] returns.
pub const LIST_LIMIT: u32 = 1_000;

/// The largest request that is stored, in bytes of its JSON parts: evidence is bounded by the gate far below this.
pub const REQUEST_LIMIT: usize = 4 * 1024 * 1024;

/// A mark that differs whenever something may have been written since the last one was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeMark(pub(crate) i64);

/// What is put on the record inside a step's transaction, after the step and before its commit: so the lines of the record
/// stand in the order of the steps, and a step that could not be recorded did not happen. A crash between the two leaves a
/// line without its step, never a step without its line.
pub type BeforeCommit<'a, T> = &'a dyn Fn(&T) -> Result<(), StoreError>;

/// Durable state. Times are given, never read from a clock: the caller has one idea of *now* for a whole step.
///
/// Only [`Store::expire_due`] writes `expired`, so that each expiry is reported exactly once; everything else merely refuses
/// what is past its time.
pub trait Store: Accounts + ApiTokens + outbox::Outbox + Send + Sync {
    /// Stores a new request, or joins the pending one of the same agent and person for the same action, target, arguments
    /// and pack. If that one rests on other facts (pins, target identity, policy, roles), it is superseded by the new one.
    ///
    /// A request with an `operation` takes the running operation of its run along, in the same transaction: that waits for
    /// this approval from now on, and ends when it does.
    ///
    /// # Errors
    /// [`TransitionError::TooManyPending`], [`StoreError::OperationLost`], or the store's own.
    fn create(&self, new: NewApproval, now: Timestamp) -> Result<Creation, TransitionError> {
        self.create_recorded(new, &|_| Ok(()), now)
    }

    /// The same, put on the record before it is committed, and so before anybody can see it and decide.
    ///
    /// # Errors
    /// As [`Store::create`], or that of the record: then there is no request.
    fn create_recorded(
        &self,
        new: NewApproval,
        record: BeforeCommit<'_, Creation>,
        now: Timestamp,
    ) -> Result<Creation, TransitionError>;

    /// One approval.
    ///
    /// # Errors
    /// The store's own.
    fn get(&self, id: &str) -> Result<Option<Approval>, StoreError>;

    /// Approvals, newest first.
    ///
    /// # Errors
    /// The store's own.
    fn list(&self, filter: &Filter) -> Result<Vec<Approval>, StoreError>;

    /// Counts a person's vote. A denial ends the request, also one that is approved and not yet consumed; approvals take
    /// effect when as many different people as needed have given theirs. The person behind the request may deny it and
    /// never approve it.
    ///
    /// # Errors
    /// Every reason for which a vote is not counted, or the store's own.
    fn vote(&self, vote: &Vote) -> Result<Approval, TransitionError> {
        self.vote_recorded(vote, &|_| Ok(()))
    }

    /// The same, put on the record before it is committed.
    ///
    /// # Errors
    /// As [`Store::vote`], or that of the record: then the vote does not count.
    fn vote_recorded(&self, vote: &Vote, record: BeforeCommit<'_, Approval>) -> Result<Approval, TransitionError>;

    /// Claims an approved request for execution by an instance. At most one call ever succeeds for an approval, and it
    /// returns after the claim is durable. When it fails with [`TransitionError::Store`] the claim may have been made:
    /// do not execute; the approval will end as unknown.
    ///
    /// # Errors
    /// Every reason for which it can't be claimed, or the store's own.
    fn consume(
        &self,
        id: &str,
        digest: RequestDigest,
        instance: &str,
        now: Timestamp,
    ) -> Result<ConsumedApproval, TransitionError>;

    /// Writes how the execution ended. May be repeated after an error of the store.
    ///
    /// # Errors
    /// [`TransitionError::Closed`] if it was ended before, or the store's own.
    fn finish(&self, consumed: &ConsumedApproval, end: &Terminal, now: Timestamp) -> Result<Approval, TransitionError>;

    /// Takes a request back for its requester, while people have not decided.
    ///
    /// # Errors
    /// [`TransitionError::UnknownApproval`] also for somebody else's, [`TransitionError::Closed`], or the store's own.
    fn withdraw(&self, id: &str, by: &Requester, now: Timestamp) -> Result<Approval, TransitionError>;

    /// Ends a request whose facts no longer hold, before it is consumed.
    ///
    /// # Errors
    /// [`TransitionError::UnknownApproval`], [`TransitionError::Closed`], or the store's own.
    fn supersede(&self, id: &str, why: &str, now: Timestamp) -> Result<Approval, TransitionError>;

    /// Expires whatever is past its time, and returns exactly what this call expired.
    ///
    /// # Errors
    /// The store's own.
    fn expire_due(&self, now: Timestamp) -> Result<Vec<Approval>, StoreError>;

    /// Marks as unknown what was consumed by an instance that is no longer alive, and returns exactly what this call marked.
    /// For instances on this machine, `is_alive` is [`instance::is_alive`].
    ///
    /// # Errors
    /// The store's own.
    fn mark_orphans_unknown(
        &self,
        is_alive: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Vec<Approval>, StoreError>;

    /// Asks for a look at the evidence of an approval; one that was just asked for and that nobody has taken up will do.
    ///
    /// # Errors
    /// [`TransitionError::UnknownApproval`], or the store's own.
    fn ask_review(&self, approval: &str, now: Timestamp) -> Result<Review, TransitionError>;

    /// Takes a look upon an instance; false if another has, or it was answered.
    ///
    /// # Errors
    /// The store's own.
    fn claim_review(&self, id: &str, instance: &str) -> Result<bool, StoreError>;

    /// Answers a look that the instance has claimed; false if it was answered before.
    ///
    /// # Errors
    /// The store's own.
    fn answer_review(&self, id: &str, instance: &str, finding: &Finding, now: Timestamp) -> Result<bool, StoreError>;

    /// One look.
    ///
    /// # Errors
    /// The store's own.
    fn review(&self, id: &str) -> Result<Option<Review>, StoreError>;

    /// The looks at one approval: the newest answer first, what is not answered last.
    ///
    /// # Errors
    /// The store's own.
    fn reviews(&self, approval: &str) -> Result<Vec<Review>, StoreError>;

    /// The looks that nobody has taken up and that were asked for at this time or later.
    ///
    /// # Errors
    /// The store's own.
    fn open_reviews(&self, since: Timestamp) -> Result<Vec<Review>, StoreError>;

    /// Keeps a standing approval that somebody proposes. It lets nothing through yet.
    ///
    /// # Errors
    /// [`StandingError::NotGrantable`] if it goes beyond what any may, or the store's own.
    fn propose_standing(
        &self,
        new: &NewStanding,
        record: BeforeCommit<'_, StandingApproval>,
        now: Timestamp,
    ) -> Result<StandingApproval, StandingError>;

    /// Counts a vote for a proposed one. It is in force with as many votes of different people as it needs, each an admin who
    /// is not behind the request that it was made from.
    ///
    /// # Errors
    /// Every reason for which a vote is not counted, or the store's own.
    fn approve_standing(
        &self,
        vote: &StandingVote,
        record: BeforeCommit<'_, StandingApproval>,
    ) -> Result<StandingApproval, StandingError>;

    /// Takes one back, for good, from this moment on.
    ///
    /// # Errors
    /// [`StandingError::Closed`] if somebody did before, or the store's own.
    fn revoke_standing(
        &self,
        id: &str,
        by: &str,
        reason: &str,
        record: BeforeCommit<'_, StandingApproval>,
        now: Timestamp,
    ) -> Result<StandingApproval, StandingError>;

    /// Claims one use for a run. What is claimed is counted, whether or not the run then comes to anything. When it fails with
    /// [`StandingError::Store`] the use may have been counted: do not execute.
    ///
    /// # Errors
    /// [`StandingError::Closed`] if it is not in force any more, or the store's own.
    fn use_standing(
        &self,
        id: &str,
        digest: RequestDigest,
        new: &NewUse,
        record: BeforeCommit<'_, StandingApproval>,
        now: Timestamp,
    ) -> Result<ClaimedUse, StandingError>;

    /// One standing approval.
    ///
    /// # Errors
    /// The store's own.
    fn standing(&self, id: &str) -> Result<Option<StandingApproval>, StoreError>;

    /// Every standing approval there ever was, newest first.
    ///
    /// # Errors
    /// The store's own.
    fn standings(&self) -> Result<Vec<StandingApproval>, StoreError>;

    /// Those that are in force for an action, the one that ends first first.
    ///
    /// # Errors
    /// The store's own.
    fn active_standings(&self, action: &str, now: Timestamp) -> Result<Vec<StandingApproval>, StoreError>;

    /// The uses of one, in order.
    ///
    /// # Errors
    /// The store's own.
    fn standing_uses(&self, id: &str) -> Result<Vec<StandingUse>, StoreError>;

    /// Claims an operation for the process of `new.instance`, unless its key is taken. Returns after the claim is durable.
    ///
    /// A key is free if nothing is kept under it, or if the same operation was claimed by a process that is no longer alive
    /// and had not begun: then nothing but reads can have been sent. Everything else is known, and nothing changes.
    /// Answers that ended more than `new.keep` ago are removed, and the oldest ones of the agent beyond [`OPERATIONS_KEPT`].
    ///
    /// # Errors
    /// The store's own. The claim may have been made then: do not go on.
    fn claim_operation(
        &self,
        new: &NewOperation,
        is_alive: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// Notes, durably, that something other than a read is about to be sent. Nothing may be sent if this fails.
    ///
    /// # Errors
    /// [`StoreError::OperationLost`] if it is no longer this process's, or the store's own.
    fn begin_operation(&self, claimed: &ClaimedOperation) -> Result<(), StoreError>;

    /// Writes how a running operation ended, at most [`RESULT_LIMIT`] bytes of it. May be repeated after an error of the store.
    ///
    /// # Errors
    /// [`StoreError::OperationLost`] if it is no longer this process's, or the store's own.
    fn finish_operation(
        &self,
        claimed: &ClaimedOperation,
        result: &serde_json::Value,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Forgets a running operation that has not begun, so that its id is free again, and says whether it did.
    ///
    /// # Errors
    /// The store's own.
    fn release_operation(&self, claimed: &ClaimedOperation) -> Result<bool, StoreError>;

    /// The same for one of a process that is gone.
    ///
    /// # Errors
    /// The store's own.
    fn forget_operation(&self, operation: &Operation) -> Result<bool, StoreError>;

    /// Ends a running operation of a process that is gone, with a result that says so.
    ///
    /// # Errors
    /// [`StoreError::OperationLost`] if somebody else did or it has changed hands, or the store's own.
    fn close_operation(
        &self,
        operation: &Operation,
        result: &serde_json::Value,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// One operation.
    ///
    /// # Errors
    /// The store's own.
    fn operation(&self, key: &OperationKey) -> Result<Option<Operation>, StoreError>;

    /// Every operation that some process has claimed and not ended, oldest first.
    ///
    /// # Errors
    /// The store's own.
    fn running_operations(&self) -> Result<Vec<Operation>, StoreError>;

    /// For cheap polling: take a mark, look, and look again when the mark differs.
    ///
    /// # Errors
    /// The store's own.
    fn change_mark(&self) -> Result<ChangeMark, StoreError>;

    /// The highest version of a pack that has been used here.
    ///
    /// # Errors
    /// The store's own.
    fn pack_floor(&self, name: &str) -> Result<Option<PackFloor>, StoreError>;

    /// The highest version of every pack that has been used here, by name.
    ///
    /// # Errors
    /// The store's own.
    fn pack_floors(&self) -> Result<Vec<PackFloor>, StoreError>;

    /// Remembers that a version of a pack was admitted, and raises the floor if `is_higher(version, floor)`.
    ///
    /// # Errors
    /// The store's own.
    fn remember_pack(
        &self,
        pack: &PackVersion,
        is_higher: &dyn Fn(&str, &str) -> bool,
        now: Timestamp,
    ) -> Result<Remembered, StoreError>;

    /// Sets the floor of a pack to a version whatever it was: going back, explicitly, with who and why.
    ///
    /// # Errors
    /// The store's own.
    fn reset_pack_floor(&self, pack: &PackVersion, by: &str, reason: &str, now: Timestamp) -> Result<(), StoreError>;

    /// What has been remembered of a pack, oldest first.
    ///
    /// # Errors
    /// The store's own.
    fn pack_history(&self, name: &str) -> Result<Vec<PackChange>, StoreError>;

    /// Keeps a new token.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if it would be valid for too long or is one too many, or the store's own.
    fn create_token(&self, new: &NewToken, now: Timestamp) -> Result<Token, StoreError>;

    /// Every token there ever was, newest first.
    ///
    /// # Errors
    /// The store's own.
    fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// The tokens that are neither revoked nor expired.
    ///
    /// # Errors
    /// The store's own.
    fn valid_tokens(&self, now: Timestamp) -> Result<Vec<Token>, StoreError>;

    /// Takes a token back, for good.
    ///
    /// # Errors
    /// The store's own.
    fn revoke_token(&self, id: &str, by: &str, reason: &str, now: Timestamp) -> Result<Revoked, StoreError>;

    /// Notes when tokens were last used, by id.
    ///
    /// # Errors
    /// The store's own.
    fn tokens_used(&self, used: &[(String, Timestamp)]) -> Result<(), StoreError>;

    /// A named value.
    ///
    /// # Errors
    /// The store's own.
    fn meta(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// Sets a named value.
    ///
    /// # Errors
    /// The store's own.
    fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError>;
}

#[cfg(test)]
mod operation_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod standing_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

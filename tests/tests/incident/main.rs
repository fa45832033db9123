//! lockgate as people and agents meet it: processes of the real binary, servers that are up, a record on a real disk. The
//! incident from first look to verified record; the order of record and effect when disks fail and processes are killed;
//! and the command line.

mod agent;
mod cli;
mod cli_policy;
mod cli_record;
mod cli_site;
mod cli_standing;
mod cli_tokens;
mod clients;
mod demo;
mod door;
mod operations;
mod order;
mod process;
mod random_kills;
mod record;
mod server_log;
mod stage;
mod standby;
mod story;

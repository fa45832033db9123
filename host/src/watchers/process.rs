//! This process, as Linux tells of it in `/proc/self`, under the names that Prometheus's clients share
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>). What can't be read is left out.

use std::fs;

/// What is known of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    /// Bytes that are in memory.
    pub(super) resident: Option<u64>,
    /// Bytes of address space.
    pub(super) virtual_size: Option<u64>,
    /// Seconds of processor time.
    pub(super) cpu: Option<f64>,
    /// Seconds since 1970 at which it began.
    pub(super) started: Option<f64>,
    /// Open file descriptors.
    pub(super) open_fds: Option<u64>,
    /// Threads.
    pub(super) threads: Option<u64>,
}

/// Ticks in a second, of the times in `/proc`: `sysconf(_SC_CLK_TCK)`, 100 on every Linux since 2.6.
const TICKS: f64 = 100.0;

impl Process {
    pub(super) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|dir| dir.count() as u64);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { open_fds, ..Self::read(&stat, &status, &boot) }
    }

    /// proc_pid_stat(5): the fields after the command's name, which is in parentheses and may be anything; and
    /// proc_pid_status(5), which has sizes in KiB.
    fn read(stat: &str, status: &str, boot: &str) -> Self {
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        // Field 3 is the first after the name.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / TICKS;
        let size = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
        Self {
            resident: size("VmRSS:"),
            virtual_size: field(23),
            cpu: field(14).zip(field(15)).map(|(user, system)| seconds(user + system)),
            started: field(22).zip(boot).map(|(ticks, boot)| boot + seconds(ticks)),
            open_fds: None,
            threads: field(20),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat =
            "77 (a) b (c) S 1 77 77 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1000 123456 42 18446744073709551615";
        let read = Process::read(stat, "Name:\tVmRSS: 1\nVmRSS:\t  42 kB\n", "cpu 1\nbtime 1700000000\n");
        let expected = Process {
            resident: Some(42 * 1024),
            virtual_size: Some(123_456),
            cpu: Some(3.0),
            started: Some(1_700_000_010.0),
            open_fds: None,
            threads: Some(9),
        };
        assert_eq!(read, expected);
        assert_eq!(Process::read("", "", ""), Process::default());
    }

    #[test]
    fn this_process_is_there() {
        let now = Process::now();
        assert!(now.resident.unwrap() > 1 << 20 && now.threads.unwrap() >= 1 && now.open_fds.unwrap() >= 3, "{now:?}");
    }
}

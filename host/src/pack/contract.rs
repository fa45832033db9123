//! Which versions of the contract a host speaks: its own, and every earlier one of the same major version, since the contract
//! only grows in between. So a pack that was built long ago keeps running, and one of a later time is told to wait for a later
//! host.

use lockgate_signing::version::PackVersion;

use super::admission::AdmissionError;
use crate::{error::Code, outside::shown};

/// The version of the contract that this host speaks.
pub const CONTRACT: &str = "1.0.0";

/// The version in an interface's name, if it is this interface: `ours` is its name in the version that is spoken here.
pub(super) fn version_in<'a>(name: &'a str, ours: &str) -> Option<&'a str> {
    let interface = ours.split_once('@').map_or(ours, |(interface, _)| interface);
    name.strip_prefix(interface)?.strip_prefix('@')
}

/// Refuses a version that is not spoken here.
pub(super) fn is_spoken(version: &str) -> Result<(), AdmissionError> {
    is_spoken_by(version, CONTRACT)
}

fn is_spoken_by(version: &str, host: &str) -> Result<(), AdmissionError> {
    let refused = |remedy: &str| {
        let message = format!("it speaks version {} of the contract, and this host speaks {host}", shown(version, 40));
        let error = AdmissionError::new(Code::ExportMissing, message);
        Err(AdmissionError { remedy: remedy.to_owned(), ..error })
    };
    let (Ok(theirs), Ok(ours)) = (version.parse::<PackVersion>(), host.parse::<PackVersion>()) else {
        return refused("build the pack with an SDK of this host's version");
    };
    if theirs > ours {
        return refused("update lockgate, or use a version of the pack that was built for this one");
    }
    if major(version) == major(host) && !theirs.is_prerelease() {
        return Ok(());
    }
    refused("build the pack with an SDK of this host's version")
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_host_speaks_its_own_version_and_the_earlier_ones_of_its_major() {
        for (version, host, spoken) in [
            ("1.0.0", "1.0.0", true),
            ("1.0.0", "1.4.2", true),
            ("1.4.2", "1.4.2", true),
            ("1.5.0", "1.4.2", false),
            ("1.4.3", "1.4.2", false),
            ("2.0.0", "1.4.2", false),
            ("1.0.0", "2.0.0", false),
            ("0.9.0", "1.0.0", false),
            ("1.0.0-rc.1", "1.0.0", false),
            ("next", "1.0.0", false),
            ("", "1.0.0", false),
        ] {
            assert_eq!(is_spoken_by(version, host).is_ok(), spoken, "{version} on {host}");
        }
        let error = is_spoken_by("2.0.0", "1.0.0").unwrap_err();
        assert_eq!(error.message, "it speaks version 2.0.0 of the contract, and this host speaks 1.0.0");
        assert!(error.remedy.starts_with("update lockgate"));
    }

    #[test]
    fn a_version_is_read_of_the_interface_that_is_meant() {
        let ours = "lockgate:pack/query@1.0.0";
        assert_eq!(version_in("lockgate:pack/query@1.2.0", ours), Some("1.2.0"));
        for other in
            ["lockgate:pack/query", "lockgate:pack/query2@1.0.0", "wasi:io/poll@0.2.0", "lockgate:pack/actions@1.0.0"]
        {
            assert_eq!(version_in(other, ours), None, "{other}");
        }
    }
}

//! The guest that misbehaves as it is told: one component, built once, whose copies differ in the settings in their data.

use lockgate::pack::build;
use tokio::sync::OnceCell;

use crate::site;

/// Before the settings in the guest's data.
const MARKER: &[u8] = b"lockgate-adversary-mode-goes-in:";
/// The room behind it.
const ROOM: usize = 6144;

/// What one hostile copy of the guest is told.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// A copy of the guest that behaves so.
///
/// # Panics
/// If the guest can't be built, or the settings have no room in it.
pub async fn component(settings: Settings<'_>) -> Vec<u8> {
    static GUEST: OnceCell<Vec<u8>> = OnceCell::const_new();
    let guest = GUEST.get_or_init(async || {
        let options = build::BuildOptions::new(site::root().join("tests/guests/adversary"));
        let built = tokio::task::spawn_blocking(move || build::build_pack(&options)).await.expect("the build's thread");
        built.expect("the guest builds")
    });
    let mut bytes = guest.await.clone();
    let places: Vec<usize> = (0..bytes.len() - MARKER.len()).filter(|at| bytes[*at..].starts_with(MARKER)).collect();
    let [marker] = places.as_slice() else { panic!("the marker is at {places:?}") };
    let text: String = settings.iter().map(|(key, value)| format!("{key}={value}\u{1f}")).collect();
    assert!(text.len() <= ROOM, "the settings have no room");
    let start = marker + MARKER.len();
    bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

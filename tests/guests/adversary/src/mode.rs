//! The place in the component's data that says how this copy of the component behaves: `key=value`, each ended by a byte
//! that no value holds. Read as volatile, so that no compiler concludes anything from what stands there when it is built.

/// What the tests look for, and the room behind it. The marker occurs nowhere else: nothing here compares with it.
#[used]
static MODE: [u8; 32 + 6144] = {
    let mut mode = [0; 32 + 6144];
    let marker = *b"lockgate-adversary-mode-goes-in:";
    let mut at = 0;
    while at < marker.len() {
        #[allow(clippy::indexing_slicing, reason = "in a constant: a wrong index does not compile")]
        {
            mode[at] = marker[at];
        }
        at += 1;
    }
    mode
};

/// Ends one setting.
const END: u8 = 0x1f;

/// The text of a setting; `None` where this copy has none of that name.
pub(crate) fn get(key: &str) -> Option<String> {
    // SAFETY: a reference to a static is valid to read from.
    #[allow(unsafe_code, reason = "the compiler must take the bytes for unknown")]
    let mode = unsafe { core::ptr::read_volatile(&raw const MODE) };
    let settings = mode.get(32..)?.split(|byte| *byte == END);
    let values = settings.filter_map(|setting| setting.strip_prefix(key.as_bytes())?.strip_prefix(b"="));
    values.map(|value| String::from_utf8_lossy(value).into_owned()).next()
}

/// The setting, or what an honest pack has there.
pub(crate) fn or(key: &str, honest: &str) -> String {
    get(key).unwrap_or_else(|| honest.to_owned())
}

/// A number.
pub(crate) fn number(key: &str, honest: usize) -> usize {
    get(key).and_then(|text| text.parse().ok()).unwrap_or(honest)
}

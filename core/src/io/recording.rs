//! A recorded run: what the page replays before it can run anything itself.
//!
//! Ten bytes, `ESPALREC` and a version (1, little-endian), then a [`Recording`] in postcard,
//! deflated (RFC 1951). Postcard, because the page already reads it from its workers; deflated
//! here, because a static host may not compress what it does not know.

use crate::protocol::{Event, RunSpec};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

const HEADER: &[u8; 10] = b"ESPALREC\x01\x00";
/// A recording is part of the page's first data; nothing near this size is one.
const MAX_BYTES: usize = 1 << 22;

/// A run as it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// The build that ran it, in words.
    pub build: String,
    /// The day on which it ran, counted from 1970-01-01.
    pub days_since_1970: u32,
    /// What was run.
    pub spec: RunSpec,
    /// What it told, in order; heavy events (models, confusion matrices) may be left out.
    pub events: Vec<Event>,
}

impl Recording {
    /// The file of a recording.
    ///
    /// # Errors
    /// It cannot be written in postcard.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let payload = postcard::to_allocvec(self)
            .map_err(|e| Error::Unsupported(format!("the run cannot be recorded: {e}")))?;
        let mut bytes = HEADER.to_vec();
        bytes.extend(miniz_oxide::deflate::compress_to_vec(&payload, 9));
        Ok(bytes)
    }

    /// The recording in a file. `name` is the file's, for messages.
    ///
    /// # Errors
    /// Says that the file is no recording, or not one of this version.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        let payload =
            miniz_oxide::inflate::decompress_to_vec_with_limit(Self::stored(name, bytes)?, MAX_BYTES)
                .map_err(|_| Error::format(name, "it is cut short or damaged"))?;
        Self::inflated(name, &payload)
    }

    /// The deflated part of a file, for whoever has an inflater of their own, as browsers do.
    ///
    /// # Errors
    /// Says that the file is no recording.
    pub fn stored<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let wrong = || Error::format(name, "it is no recording of this version");
        bytes.strip_prefix(HEADER.as_slice()).ok_or_else(wrong)
    }

    /// The recording in what [`Recording::stored`] gave, inflated.
    ///
    /// # Errors
    /// Says that it is not of this version.
    pub fn inflated(name: &str, payload: &[u8]) -> Result<Self> {
        postcard::from_bytes(payload).map_err(|_| Error::format(name, "it was recorded by another version"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Config;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let spec = RunSpec {
            kind: "search".into(),
            config: Config::default(),
            seed: 3,
            data: "digits".into(),
            model: None,
        };
        let events = vec![Event::Log("one".into()), Event::Finished("two".into())];
        let recording = Recording { build: "test".into(), days_since_1970: 20_000, spec, events };
        let bytes = recording.encode().unwrap();
        assert_eq!(Recording::decode("r", &bytes).unwrap(), recording);
        for end in 0..bytes.len() {
            assert!(Recording::decode("r", &bytes[..end]).is_err(), "cut after {end} bytes");
        }
        let message = Recording::decode("other.bin", b"{\"recording\": 1}").unwrap_err().to_string();
        assert!(message.contains("other.bin") && message.contains("no recording"), "{message}");
    }
}

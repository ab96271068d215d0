//! Checks the messages in an aggregate (specification, section 7.1.6, as `ngx_rtmp_aggregate_message_handler` reads
//! it).

use super::bytes::Bytes;
use super::violation::Violation;
use super::{amf, kind};

/// Length of the timestamp and the stream id, which follow the type and the length of a message.
const TIME_AND_STREAM: usize = 4 + 3;

/// Length of the back pointer after each message, which repeats the whole length.
const BACK_POINTER: usize = 4;

/// Decides on an aggregate: each of its messages must be audio, video, or data that is not nested too deep.
pub(super) fn check<'a, I>(mut body: Bytes<'a, I>) -> Result<(), Violation>
where
    I: Iterator<Item = &'a [u8]> + Clone,
{
    while let Some(kind) = body.byte() {
        if !matches!(kind, kind::AUDIO | kind::VIDEO | kind::DATA) {
            return Err(Violation::Aggregate);
        }
        let length = length(&mut body).ok_or(Violation::Aggregate)?;
        let message = body.clone().limited(length);
        body.skip(length + BACK_POINTER).ok_or(Violation::Aggregate)?;
        if kind == kind::DATA {
            amf::check(kind, message)?;
        }
    }
    Ok(())
}

/// Returns the length of the next message and skips its header.
fn length<'a, I: Iterator<Item = &'a [u8]>>(body: &mut Bytes<'a, I>) -> Option<usize> {
    let [high, middle, low] = body.array()?;
    body.skip(TIME_AND_STREAM)?;
    usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()
}

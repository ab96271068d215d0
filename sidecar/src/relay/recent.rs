//! The newest group of pictures of each stream that this process publishes for another node. A player of such a stream begins with it,
//! and does not wait for the next keyframe.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_rtmp::flv::{Tag, TagKind};

use crate::streams::StreamId;

/// Most bytes of a group of pictures. A larger one is not kept.
const MOST_BYTES: usize = 16 << 20;

/// The newest media of each stream.
#[derive(Debug, Default)]
pub(crate) struct Recents(Mutex<BTreeMap<StreamId, Arc<Mutex<Recent>>>>);

/// The newest media of one stream.
#[derive(Debug, Default)]
struct Recent {
    /// The decoder configurations: of video, and of audio.
    headers: [Option<Tag>; 2],
    tags: Vec<Tag>,
    bytes: usize,
}

impl Recent {
    fn put(&mut self, tag: Tag) {
        let of = match tag.kind {
            TagKind::Video => 0,
            TagKind::Audio => 1,
            TagKind::Script => return,
        };
        if is_configuration(&tag) {
            self.headers[of] = Some(tag);
            return;
        }
        if is_key(&tag) {
            self.tags.clear();
            self.bytes = 0;
        } else if self.tags.is_empty() {
            return;
        }
        self.bytes += tag.payload.len();
        self.tags.push(tag);
        if self.bytes > MOST_BYTES {
            self.tags = Vec::new();
        }
    }
}

/// A published stream, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    recents: Arc<Recents>,
    id: StreamId,
    recent: Arc<Mutex<Recent>>,
}

impl Recents {
    fn streams(&self) -> MutexGuard<'_, BTreeMap<StreamId, Arc<Mutex<Recent>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stream that this process begins to publish.
    pub(crate) fn enter(self: &Arc<Self>, id: StreamId) -> Entry {
        let recent = Arc::<Mutex<Recent>>::default();
        self.streams().insert(id.clone(), recent.clone());
        Entry { recents: self.clone(), id, recent }
    }

    /// Returns the decoder configurations and all tags since the newest keyframe, in order. The list is empty if this process does not
    /// publish the stream, or has no frames yet.
    pub(crate) fn newest(&self, id: &StreamId) -> Vec<Tag> {
        let Some(recent) = self.streams().get(id).cloned() else { return Vec::new() };
        let recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = recent.tags.first() else { return Vec::new() };
        let header = |tag: &Tag| Tag { timestamp: first.timestamp, ..tag.clone() };
        recent.headers.iter().flatten().map(header).chain(recent.tags.iter().cloned()).collect()
    }
}

impl Entry {
    /// Stores a tag that is sent to nginx.
    pub(crate) fn put(&self, kind: TagKind, timestamp: u32, payload: &[u8]) {
        let tag = Tag { kind, timestamp, payload: payload.to_vec() };
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).put(tag);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut streams = self.recents.streams();
        // The entry may belong to another publish of the stream by now.
        if streams.get(&self.id).is_some_and(|recent| Arc::ptr_eq(recent, &self.recent)) {
            streams.remove(&self.id);
        }
    }
}

/// Returns whether a tag is a decoder configuration, also in Enhanced RTMP, where the first bit is set and the lower four bits are the
/// packet type.
fn is_configuration(tag: &Tag) -> bool {
    let is_enhanced = |first: &u8| match tag.kind {
        TagKind::Video => first & 0x8f == 0x80,
        _ => *first == 0x90,
    };
    tag.is_header() || tag.payload.first().is_some_and(is_enhanced)
}

fn is_key(tag: &Tag) -> bool {
    tag.kind == TagKind::Video && tag.payload.first().is_some_and(|first| first >> 4 & 7 == 1)
}

/// Tags that nginx repeats although the player has got them from [`Recents`].
#[derive(Debug, Default)]
pub(crate) struct Overlap(Vec<Tag>);

impl Overlap {
    /// Computes the overlap of media in order.
    pub(crate) fn of(tags: &[Tag]) -> Self {
        let last = |kind| tags.iter().rev().find(|tag| tag.kind == kind).cloned();
        let headers = tags.iter().filter(|tag| is_configuration(tag)).cloned();
        Self(headers.chain([last(TagKind::Video), last(TagKind::Audio)].into_iter().flatten()).collect())
    }

    /// Returns whether a tag is part of the overlap.
    pub(crate) fn has(&self, tag: &Tag) -> bool {
        let is_same = |known: &Tag| {
            known.kind == tag.kind
                && match is_configuration(tag) {
                    true => known.payload == tag.payload,
                    // Timestamps wrap.
                    false => {
                        !is_configuration(known) && known.timestamp.wrapping_sub(tag.timestamp) < 1 << 31
                    }
                }
        };
        self.0.iter().any(is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: TagKind, timestamp: u32, payload: &[u8]) -> Tag {
        Tag { kind, timestamp, payload: payload.to_vec() }
    }

    #[test]
    fn the_newest_group_of_pictures_begins_with_configurations() {
        use TagKind::{Audio, Video};
        let recents = Arc::<Recents>::default();
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        let entry = recents.enter(id.clone());
        let put = |tag: &Tag| entry.put(tag.kind, tag.timestamp, &tag.payload);
        let headers = [tag(Video, 0, &[0x17, 0, 9]), tag(Audio, 0, &[0xaf, 0, 9])];
        headers.iter().for_each(put);
        put(&tag(Video, 0, &[0x27, 1]));
        assert!(recents.newest(&id).is_empty());
        let media = [tag(Video, 40, &[0x17, 1]), tag(Audio, 45, &[0xaf, 1]), tag(Video, 80, &[0x27, 1])];
        put(&tag(Video, 10, &[0x17, 1]));
        media.iter().for_each(put);
        let newest = recents.newest(&id);
        let times: Vec<u32> = newest.iter().map(|tag| tag.timestamp).collect();
        assert_eq!(times, [40, 40, 40, 45, 80]);

        let overlap = Overlap::of(&newest);
        let again = [&headers[0], &media[0], &media[2], &tag(Audio, 40, &[0xaf, 1])];
        assert!(again.iter().all(|tag| overlap.has(tag)));
        let new = [tag(Video, 81, &[0x27, 1]), tag(Audio, 46, &[0xaf, 1]), tag(Video, 90, &[0x17, 0, 8])];
        assert!(new.iter().all(|tag| !overlap.has(tag)));
        // The end of an older publish does not remove the newer one.
        let other = recents.enter(id.clone());
        drop(entry);
        other.put(Video, 0, &[0x90, b'h', b'v', b'c', b'1']);
        other.put(Video, 0, &[0x91, b'h', b'v', b'c', b'1']);
        assert_eq!(recents.newest(&id).len(), 2);
        drop(other);
        assert!(recents.newest(&id).is_empty());
    }
}

//! The only way out to the client.
//!
//! INVARIANT: what the server said reaches the client's socket only as what a [`Crossings::window`] gave. `Outgoing` is private here, and
//! two things are put into it: [`Own`], which is made of our words or of frames that tell nothing, and what a recording gave. The
//! frames of a window are gone from the relay once they are handed over: there is no other copy that could be written.
//!
//! [`Crossings::window`]: super::Crossings::window

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::super::frame::Outgoing;
use super::super::own;
use super::Refused;

/// Most windows that are recorded at a time.
const RECORDINGS_MAX: usize = 64;
/// Most things that wait to go out before nothing more is taken from the client.
const QUEUE_MAX: usize = 1024;

pub(super) type Waits<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Frames that tell nothing that the client did not know: ours, or of the protocol's course alone.
pub(super) struct Own(Bytes);

impl Own {
    /// Words of ours.
    pub(super) fn said(frames: Bytes) -> Self {
        Self(frames)
    }

    /// Frames of the server's that have no content but their tag, or a setting: `answered` has looked at each.
    pub(super) fn course(frames: Bytes) -> Self {
        Self(frames)
    }
}

enum Item {
    Own(Own),
    Recording(Waits<Result<Bytes, Refused>>, usize),
    Showing(Waits<String>),
    Released(Bytes),
    Refused(Refused),
}

/// What waits to go out, in order.
pub(super) struct Exit {
    queue: VecDeque<Item>,
    out: Outgoing,
    recorded: usize,
    recordings: usize,
    window_max: usize,
}

impl Exit {
    pub(super) fn new(window_max: usize) -> Self {
        Self { queue: VecDeque::new(), out: Outgoing::default(), recorded: 0, recordings: 0, window_max }
    }

    /// Whether another window may be recorded. With what is being read there are two at most, but for small ones.
    pub(super) fn has_room(&self) -> bool {
        self.recorded + self.out.len() < self.window_max && self.recordings < RECORDINGS_MAX
    }

    /// Whether so much waits for the client that nothing more is taken from it.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE_MAX || self.out.len() >= 2 * self.window_max
    }

    pub(super) fn own(&mut self, own: Own) {
        if self.queue.is_empty() {
            self.out.push(own.0);
        } else {
            self.queue.push_back(Item::Own(own));
        }
    }

    pub(super) fn record(&mut self, recording: Waits<Result<Bytes, Refused>>, bytes: usize) {
        self.recorded += bytes;
        self.recordings += 1;
        self.queue.push_back(Item::Recording(recording, bytes));
    }

    pub(super) fn show(&mut self, showing: Waits<String>) {
        self.queue.push_back(Item::Showing(showing));
    }

    /// Whether everything is out.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.out.is_done()
    }

    /// Whether the client does not take what is released.
    pub(super) fn is_blocked(&self) -> bool {
        !self.out.is_done()
    }

    /// How much the client ever took.
    pub(super) fn taken(&self) -> u64 {
        self.out.written()
    }

    /// Goes on with all that is recorded, and writes what is released.
    pub(super) fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Result<bool, super::RelayError>
    where
        S: AsyncWrite + Unpin,
    {
        let some = self.poll_queue(cx)?;
        Ok(self.poll_write(stream, cx).map_err(super::RelayError::Client)? || some)
    }

    /// Only writes what is released.
    pub(super) fn poll_write<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> io::Result<bool>
    where
        S: AsyncWrite + Unpin,
    {
        self.out.poll_write(stream, cx)
    }

    fn poll_queue(&mut self, cx: &mut Context<'_>) -> Result<bool, Refused> {
        for item in &mut self.queue {
            match item {
                Item::Recording(recording, bytes) => {
                    if let Poll::Ready(recorded) = recording.as_mut().poll(cx) {
                        self.recorded -= *bytes;
                        self.recordings -= 1;
                        *item = recorded.map_or_else(Item::Refused, Item::Released);
                    }
                }
                Item::Showing(showing) => {
                    if let Poll::Ready(text) = showing.as_mut().poll(cx) {
                        *item = Item::Own(Own::said(own::row(&text)));
                    }
                }
                Item::Own(_) | Item::Released(_) | Item::Refused(_) => {}
            }
        }
        let mut some = false;
        while let Some(item) = self.queue.pop_front() {
            match item {
                Item::Own(Own(frames)) | Item::Released(frames) => self.out.push(frames),
                Item::Refused(refused) => return Err(refused),
                waits => {
                    self.queue.push_front(waits);
                    break;
                }
            }
            some = true;
        }
        Ok(some)
    }

    /// The session ends with these words: what waits is not released any more.
    pub(super) fn end(&mut self, own: Own) {
        self.queue.clear();
        self.out.push(own.0);
    }
}

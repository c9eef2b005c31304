//! `origin ADDRESS FOLDER`: answers GET /user.json, /list.json and /bulk.ndjson from memory, HTTP/1.1 with
//! keep-alive and pipelining, one thread, epoll. It exists so that the service behind costs as little as
//! possible and the same for every proxy. Build: `rustc --edition 2024 -O origin.rs`. Linux, x86-64.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

const BODIES: [(&str, &str); 3] = [
    ("user.json", "application/json"),
    ("list.json", "application/json"),
    ("bulk.ndjson", "application/x-ndjson"),
];
const IN: u32 = 1;
const OUT: u32 = 4;
const ADD: i32 = 1;
const MODIFY: i32 = 3;

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Event {
    events: u32,
    data: u64,
}

unsafe extern "C" {
    fn epoll_create1(flags: i32) -> i32;
    fn epoll_ctl(epoll: i32, what: i32, fd: i32, event: *mut Event) -> i32;
    fn epoll_wait(epoll: i32, events: *mut Event, count: i32, timeout_ms: i32) -> i32;
}

struct Epoll(i32);

impl Epoll {
    fn new() -> Self {
        // SAFETY: no pointers are passed.
        Self(unsafe { epoll_create1(0) })
    }

    fn watch(&self, what: i32, fd: i32, events: u32) {
        let mut event = Event { events, data: fd as u64 };
        // SAFETY: `event` lives through the call, which copies it.
        unsafe { epoll_ctl(self.0, what, fd, &mut event) };
    }

    fn wait<'a>(&self, events: &'a mut [Event; 256]) -> &'a [Event] {
        // SAFETY: the kernel writes at most `events.len()` events.
        let n = unsafe { epoll_wait(self.0, events.as_mut_ptr(), events.len() as i32, -1) };
        &events[..n.max(0) as usize]
    }
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Answers under way: which, and how much of it is written.
    output: Vec<(usize, usize)>,
    wants_out: bool,
}

impl Connection {
    /// False when the peer is gone.
    fn read(&mut self, buffer: &mut [u8], answers: &[(String, Vec<u8>)]) -> bool {
        match self.stream.read(buffer) {
            Ok(0) => return false,
            Ok(n) => self.input.extend_from_slice(&buffer[..n]),
            Err(e) => return e.kind() == ErrorKind::WouldBlock,
        }
        // Requests here have no body: a head is a request.
        while let Some(end) = self.input.windows(4).position(|w| w == b"\r\n\r\n") {
            let path = self.input[..end].split(|b| *b == b' ').nth(1).unwrap_or_default();
            let which = answers.iter().position(|(p, _)| p.as_bytes() == path).unwrap_or(0);
            self.input.drain(..end + 4);
            self.output.push((which, 0));
        }
        true
    }

    /// False when the peer is gone.
    fn write(&mut self, answers: &[(String, Vec<u8>)]) -> bool {
        while let Some((which, done)) = self.output.first_mut() {
            let answer = &answers[*which].1;
            match self.stream.write(&answer[*done..]) {
                Ok(n) => *done += n,
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            }
            if *done == answer.len() {
                self.output.remove(0);
            }
        }
        true
    }
}

fn answers(folder: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut answers = vec![(String::new(), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec())];
    for (name, kind) in BODIES {
        let body = std::fs::read(format!("{folder}/{name}"))?;
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        answers.push((format!("/{name}"), [head.as_bytes(), &body].concat()));
    }
    Ok(answers)
}

fn accept(listener: &TcpListener, epoll: &Epoll, open: &mut HashMap<i32, Connection>) -> std::io::Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let fd = stream.as_raw_fd();
        epoll.watch(ADD, fd, IN);
        open.insert(fd, Connection { stream, input: vec![], output: vec![], wants_out: false });
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: origin ADDRESS FOLDER".into());
    };
    let answers = answers(&folder)?;
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let (epoll, door) = (Epoll::new(), listener.as_raw_fd());
    epoll.watch(ADD, door, IN);
    let mut open: HashMap<i32, Connection> = HashMap::new();
    let (mut buffer, mut events) = (vec![0; 65_536], [Event { events: 0, data: 0 }; 256]);
    loop {
        for event in epoll.wait(&mut events) {
            let (fd, what) = (event.data as i32, event.events);
            if fd == door {
                accept(&listener, &epoll, &mut open)?;
                continue;
            }
            let Some(c) = open.get_mut(&fd) else { continue };
            let alive = (what & !OUT == 0 || c.read(&mut buffer, &answers)) && c.write(&answers);
            let wants_out = !c.output.is_empty();
            if !alive {
                open.remove(&fd);
            } else if wants_out != c.wants_out {
                c.wants_out = wants_out;
                epoll.watch(MODIFY, fd, if wants_out { IN | OUT } else { IN });
            }
        }
    }
}

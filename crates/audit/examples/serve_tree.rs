//! Serves a folder over HTTP for measurements, as a site serves its logs: `serve_tree <folder>`.
//!
//! Prints its address. A thread for each connection; GET of plain paths, and nothing else. It is no part of the product.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the measurements")]

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

fn main() {
    let folder: Arc<PathBuf> = Arc::new(std::env::args_os().nth(1).unwrap().into());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    for stream in listener.incoming().flatten() {
        let folder = Arc::clone(&folder);
        thread::spawn(move || drop(answer(stream, &folder)));
    }
}

fn answer(mut stream: TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line)?;
        }
        let plain = !path.split('/').any(|name| name.is_empty() || name.starts_with('.'));
        let body = if plain { fs::read(folder.join(&path)) } else { Err(io::ErrorKind::NotFound.into()) };
        let (status, body) = body.map_or((404, Vec::new()), |body| (200, body));
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat())?;
    }
}

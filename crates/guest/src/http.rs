//! The server that guests fetch from: [`Server`], and `forward`, which leads to it from a guest's network.
//!
//! No test has an internet. Whatever name a guest looks up, the agent's resolver says that it is at one address of the machine's own user
//! network, and QEMU hands what connects to port 80 there to a process for each connection, which is [`forward`].

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A guest that says nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// A request is a few lines.
const REQUEST_BYTES: u64 = 64 << 10;

/// A server on the loopback interface, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
}

impl Server {
    /// Starts it. It serves the files in `directory`/www, and a page of its own where there is none of that name; each request is a line
    /// in `directory`/http.log.
    pub(crate) fn start(directory: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let directory = directory.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let directory = directory.clone();
                // A guest that goes away in the middle is no concern of the server's.
                thread::spawn(move || drop(serve(&stream, &directory)));
            }
        });
        Ok(Self { port })
    }

    /// The TCP port on which it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn serve(stream: &TcpStream, directory: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.take(REQUEST_BYTES)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut host = String::new();
    for line in lines.by_ref() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("host") {
                value.trim().clone_into(&mut host);
            }
        }
    }
    let mut log = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(directory.join("http.log"))?;
    writeln!(log, "{request} {host}")?;
    let mut words = request.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or("/"));
    if !matches!(method, Some("GET" | "HEAD")) {
        return respond(stream, "501 Not Implemented", b"", true);
    }
    let body = file(directory, path)
        .and_then(|path| fs::read(path).ok())
        .unwrap_or_else(|| format!("testjig: {path}\n").into_bytes());
    respond(stream, "200 OK", &body, method == Some("GET"))
}

fn respond(mut stream: &TcpStream, status: &str, body: &[u8], with_body: bool) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
    )?;
    if with_body {
        stream.write_all(body)?;
    }
    stream.shutdown(Shutdown::Write)
}

/// The file that a path of a request means: none outside of the directory.
fn file(directory: &Path, path: &str) -> Option<PathBuf> {
    let path = path.split('?').next()?.trim_start_matches('/');
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    (inside && !path.is_empty()).then(|| directory.join("www").join(path))
}

/// Passes on between standard input and output and the server on that port, for one connection, until both have said all.
///
/// # Errors
/// If the server can't be reached or a side fails.
pub(crate) fn forward(port: u16) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let mut to_server = server.try_clone()?;
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let mut server = server;
    let mut output = io::stdout().lock();
    let mut buffer = vec![0; 16 << 10];
    loop {
        match server.read(&mut buffer)? {
            0 => return output.flush(),
            count => {
                output.write_all(&buffer[..count])?;
                output.flush()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        write!(stream, "{request}").expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        text
    }

    #[test]
    fn files_and_other_names_are_served_and_noted() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("www")).expect("writable");
        fs::write(directory.path().join("www/a"), "of the test").expect("writable");
        fs::write(directory.path().join("secret"), "not served").expect("writable");
        let port = Server::start(directory.path()).expect("a server").port();
        let answer = fetch(port, "GET /a HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nof the test"), "{answer}");
        let other = fetch(port, "GET /../secret HTTP/1.0\r\n\r\n");
        assert!(!other.contains("not served"), "{other}");
        assert!(fetch(port, "PUT / HTTP/1.0\r\n\r\n").contains("501"));
        let log = fs::read_to_string(directory.path().join("http.log")).expect("it is there");
        assert_eq!(
            log,
            "GET /a HTTP/1.1 www.example.org\nGET /../secret HTTP/1.0 \nPUT / HTTP/1.0 \n"
        );
    }
}

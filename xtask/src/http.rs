//! A static file server for one folder, on loopback: for `serve` and the browser tests (which include
//! this file, so that they see what `serve` shows).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};

/// Serves `dist` until the process is stopped.
pub fn serve(dist: &Path, port: u16) -> Result<(), String> {
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| {
        format!("port {port} cannot be used ({e}); try `cargo xtask serve --port {}`", port.wrapping_add(1))
    })?;
    println!("Espalier is at http://127.0.0.1:{port}/  (Ctrl-C stops it)");
    accept(listener, dist);
    Ok(())
}

/// Answers on a listener for as long as the process lives.
pub fn accept(listener: TcpListener, dist: &Path) {
    for stream in listener.incoming().flatten() {
        let dist = dist.to_path_buf();
        std::thread::spawn(move || {
            // A browser that hangs up early is no error of ours.
            let _ = answer(&dist, stream);
        });
    }
}

fn answer(dist: &Path, mut stream: TcpStream) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut line)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let target = line.split_whitespace().nth(1).unwrap_or("/");
    let path = target.split(['?', '#']).next().unwrap_or("/").trim_start_matches('/');
    let mut relative = PathBuf::from(path);
    if path.is_empty() || path.ends_with('/') {
        relative.push("index.html");
    }
    let inside = relative.components().all(|c| matches!(c, Component::Normal(_)));
    let (status, kind, body) = match fs::read(dist.join(&relative)) {
        Ok(body) if inside => ("200 OK", mime(&relative), body),
        _ => ("404 Not Found", "text/plain", b"not found".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

fn mime(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

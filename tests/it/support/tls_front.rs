//! Servers in front of the simulator: a TLS server with a chosen certificate, and an HTTP proxy that opens tunnels.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::authority::Certified;

/// A TLS server that forwards everything to the simulator.
pub(crate) struct TlsFront {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl TlsFront {
    /// In front of a server at `http://127.0.0.1:PORT`.
    pub(crate) fn start(certified: &Certified, upstream: &str) -> TlsFront {
        let upstream = upstream.strip_prefix("http://").expect("an address without TLS").to_owned();
        let certificate = CertificateDer::from_pem_slice(certified.certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("they belong together");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let front = TlsFront { port, connections: connections.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (config, upstream) = (config.clone(), upstream.clone());
                thread::spawn(move || {
                    let session = ServerConnection::new(config).expect("a session");
                    // Ends if the client disconnects or does not trust the certificate.
                    let _ = serve(StreamOwned::new(session, stream), &upstream);
                });
            }
        });
        front
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Number of connections so far, including those whose client did not trust the certificate.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn serve(client: StreamOwned<ServerConnection, TcpStream>, upstream: &str) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let server = TcpStream::connect(upstream)?;
    let (mut writer, mut reader) = (server.try_clone()?, BufReader::new(server));
    loop {
        writer.write_all(&message(&mut client)?)?;
        let answer = message(&mut reader)?;
        client.get_mut().write_all(&answer)?;
        client.get_mut().flush()?;
    }
}

/// A request or an answer, head and body.
fn message(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let (mut message, mut length) = (Vec::new(), 0);
    loop {
        let start = message.len();
        if reader.read_until(b'\n', &mut message)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&message[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let body = message.len();
    message.resize(body + length, 0);
    reader.read_exact(&mut message[body..])?;
    Ok(message)
}

/// A proxy that opens tunnels, all to one server, and records the requests.
pub(crate) struct Tunnel {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    /// To this port.
    pub(crate) fn to(target: u16) -> Tunnel {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let tunnel = Tunnel { port, asked: asked.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = asked.clone();
                thread::spawn(move || {
                    // Ends if one side disconnects.
                    let _ = open(stream, target, &asked);
                });
            }
        });
        tunnel
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The heads of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics within").clone()
    }
}

fn open(client: TcpStream, target: u16, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let head = message(&mut reader)?;
    asked.lock().expect("no test panics within").push(String::from_utf8_lossy(&head).into_owned());
    let server = TcpStream::connect(("127.0.0.1", target))?;
    (&client).write_all(b"HTTP/1.1 200 Open\r\n\r\n")?;
    let (mut from_server, mut to_server, mut to_client) = (server.try_clone()?, server, client);
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    io::copy(&mut reader, &mut to_server)?;
    to_server.shutdown(Shutdown::Write)?;
    let _ = back.join();
    Ok(())
}

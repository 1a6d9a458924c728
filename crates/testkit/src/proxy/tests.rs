//! A server that echoes, and a client: what of it arrives.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use super::*;

/// Echoes whatever comes, and remembers it.
fn echo() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (addr, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<u8>>>::default());
    let seen_here = Arc::clone(&seen);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, seen) = (client.unwrap(), Arc::clone(&seen_here));
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(read) = client.read(&mut buffer)
                    && read > 0
                {
                    seen.lock().unwrap().extend_from_slice(&buffer[..read]);
                    if client.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, seen)
}

fn client(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).unwrap()
}

fn says(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).unwrap();
}

fn hears(client: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

fn exchange(client: &mut TcpStream, text: &str) {
    says(client, text);
    hears(client, text);
}

fn until(happened: impl Fn() -> bool) {
    while !happened() {
        thread::yield_now();
    }
}

fn text(seen: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&seen.lock().unwrap()).into_owned()
}

#[test]
fn requests_that_are_held_reach_the_server_when_it_goes_on() {
    let (server, seen) = echo();
    let proxy = Proxy::to(server).unwrap();
    let mut client = client(&proxy);
    exchange(&mut client, "one");

    proxy.hold_requests();
    says(&mut client, "two");
    until(|| proxy.held_requests() == 1);
    let before = text(&seen);
    proxy.go_on();
    hears(&mut client, "two");

    assert_eq!((before.as_str(), proxy.held_requests()), ("one", 0));
}

#[test]
fn answers_that_are_held_come_after_the_server_has_done_its_work() {
    let (server, seen) = echo();
    let proxy = Proxy::to(server).unwrap();
    let mut client = client(&proxy);

    proxy.hold_answers();
    says(&mut client, "one");
    until(|| proxy.held_answers() == 1);
    let done = text(&seen);
    proxy.go_on();

    hears(&mut client, "one");
    assert_eq!(done, "one");
}

#[test]
fn a_cut_ends_connections_loses_what_was_held_and_lets_new_ones_through() {
    let (server, seen) = echo();
    let proxy = Proxy::to(server).unwrap();
    let mut first = client(&proxy);
    proxy.hold_requests();
    says(&mut first, "lost");
    until(|| proxy.held_requests() == 1);

    let cut = proxy.cut();
    proxy.go_on();
    let mut rest = Vec::new();
    // Closed or reset, as the system likes it.
    let _ = first.read_to_end(&mut rest);
    let mut second = client(&proxy);
    exchange(&mut second, "new");

    assert_eq!((cut, rest.len(), text(&seen).as_str()), (1, 0, "new"));
}

#[test]
fn requests_are_held_from_the_one_that_shows_the_last_text_on_one_connection() {
    let (server, seen) = echo();
    let proxy = Proxy::to(server).unwrap();
    let (mut one, mut two) = (client(&proxy), client(&proxy));
    proxy.hold_requests_from(&["first", "second"]);

    exchange(&mut one, "a first;");
    exchange(&mut two, "second;");
    exchange(&mut one, "sec");
    says(&mut one, "ond");
    until(|| proxy.held_requests() == 1);
    says(&mut two, "more");
    until(|| proxy.held_requests() == 2);

    assert_eq!(text(&seen), "a first;second;sec");
}

#[test]
fn answers_are_held_from_the_request_on_that_shows_the_text() {
    let (server, seen) = echo();
    let proxy = Proxy::to(server).unwrap();
    let mut client = client(&proxy);
    proxy.hold_answers_from(&["COMMIT"]);

    exchange(&mut client, "BEGIN");
    says(&mut client, "COMMIT");
    until(|| proxy.held_answers() == 1);

    assert_eq!(text(&seen), "BEGINCOMMIT", "the server has it");
}

#[test]
fn a_socket_in_the_file_system_can_be_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let serving = thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        client.write_all(said.as_bytes()).unwrap();
    });
    let proxy = Proxy::to(path).unwrap();
    let mut client = client(&proxy);

    says(&mut client, "one");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    hears(&mut client, "one");

    serving.join().unwrap();
}

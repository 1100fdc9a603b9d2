//! The tests' own bad network: it carries what it should, and does to the rest what it was told.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::chaos::{Chaos, Deed, Trouble, Way, When};
use crate::support::eventually;

/// Something that answers every line with the same line, in capitals.
fn shouter() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || shout(stream.unwrap()));
        }
    });
    address
}

fn shout(mut stream: TcpStream) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        if stream.write_all(&piece[..count].to_ascii_uppercase()).is_err() {
            break;
        }
    }
}

fn connect(chaos: &Chaos) -> TcpStream {
    let stream = TcpStream::connect(chaos.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

/// What comes back, up to the end of the line or of the connection.
fn answer(stream: &mut TcpStream) -> Result<String, ErrorKind> {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\n") {
        match stream.read(&mut byte).map_err(|error| error.kind())? {
            0 => break,
            _ => seen.push(byte[0]),
        }
    }
    Ok(String::from_utf8(seen).unwrap())
}

fn asked(stream: &mut TcpStream, line: &str) -> Result<String, ErrorKind> {
    stream.write_all(line.as_bytes()).map_err(|error| error.kind())?;
    answer(stream)
}

fn trouble(way: Way, when: When, deed: Deed) -> Trouble {
    Trouble { way, when, deed, times: 1 }
}

#[test]
fn a_calm_network_carries_everything_and_counts_it() {
    let chaos = Chaos::before(shouter());
    let (mut one, mut other) = (connect(&chaos), connect(&chaos));
    assert_eq!(asked(&mut one, "hello\n"), Ok("HELLO\n".to_owned()));
    assert_eq!(asked(&mut other, "you\n"), Ok("YOU\n".to_owned()));
    assert_eq!((chaos.connections(), chaos.bytes(Way::There), chaos.bytes(Way::Back), chaos.struck()), (2, 10, 10, 0));
}

#[test]
fn an_answer_is_lost_after_the_request_was_carried_out_and_only_once() {
    let chaos = Chaos::before(shouter());
    let mut stream = connect(&chaos);
    chaos.loses_the_answer_to(b"commit");
    assert_eq!(asked(&mut stream, "begin\n"), Ok("BEGIN\n".to_owned()));
    // In two pieces, as a network may cut them.
    stream.write_all(b"com").unwrap();
    stream.flush().unwrap();
    assert_eq!(stream.read(&mut [0; 3]).unwrap(), 3, "the first half is answered");
    assert_eq!(asked(&mut stream, "mit\n"), Err(ErrorKind::ConnectionReset));
    assert_eq!(chaos.struck(), 1);
    assert_eq!(asked(&mut connect(&chaos), "commit\n"), Ok("COMMIT\n".to_owned()), "it was to happen once");
}

#[test]
fn a_connection_is_cut_after_so_many_bytes_in_either_direction() {
    let chaos = Chaos::before(shouter());
    chaos.strikes(trouble(Way::There, When::After(3), Deed::Close));
    assert_eq!(asked(&mut connect(&chaos), "hello\n").unwrap_or_default(), "", "three bytes are no line");
    chaos.strikes(trouble(Way::Back, When::After(3), Deed::HalfClose));
    assert_eq!(asked(&mut connect(&chaos), "hello\n"), Ok("HEL".to_owned()));
    chaos.strikes(trouble(Way::Back, When::After(0), Deed::Reset));
    assert_eq!(asked(&mut connect(&chaos), "hello\n"), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_byte_is_changed_on_its_way() {
    let chaos = Chaos::before(shouter());
    chaos.strikes(trouble(Way::Back, When::After(2), Deed::Corrupt));
    assert_eq!(asked(&mut connect(&chaos), "hello\n"), Ok("HeLLO\n".to_owned()));
}

#[test]
fn a_black_hole_takes_everything_and_says_nothing() {
    let chaos = Chaos::before(shouter());
    chaos.is_a_black_hole();
    let mut stream = connect(&chaos);
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(asked(&mut stream, "hello\n"), Err(ErrorKind::WouldBlock));
    chaos.clears_up();
    assert_eq!(asked(&mut connect(&chaos), "hello\n"), Ok("HELLO\n".to_owned()));
}

#[tokio::test]
async fn a_shut_door_refuses_resets_what_was_open_and_opens_again_at_the_same_address() {
    let chaos = Chaos::before(shouter());
    let mut stream = connect(&chaos);
    assert_eq!(asked(&mut stream, "hello\n"), Ok("HELLO\n".to_owned()));
    chaos.refuses();
    assert_eq!(answer(&mut stream), Err(ErrorKind::ConnectionReset));
    let refused = async || TcpStream::connect(chaos.address()).err();
    assert_eq!(eventually("nobody listens", refused).await.kind(), ErrorKind::ConnectionRefused);
    chaos.clears_up();
    let open = async || asked(&mut TcpStream::connect(chaos.address()).ok()?, "hello\n").ok();
    assert_eq!(eventually("somebody listens", open).await, "HELLO\n");
}

#[test]
fn a_slow_network_delays_each_piece_and_drips() {
    let chaos = Chaos::before(shouter());
    let mut stream = connect(&chaos);
    chaos.delays(Duration::from_millis(150));
    #[expect(clippy::disallowed_methods, reason = "the time it takes is what is tested")]
    let now = Instant::now;
    let begun = now();
    assert_eq!(asked(&mut stream, "hello\n"), Ok("HELLO\n".to_owned()));
    assert!(begun.elapsed() >= Duration::from_millis(300), "there and back: {:?}", begun.elapsed());
    chaos.clears_up();
    chaos.throttles(20);
    let begun = now();
    assert_eq!(asked(&mut stream, "hello\n"), Ok("HELLO\n".to_owned()));
    assert!(begun.elapsed() >= Duration::from_millis(300), "six bytes at twenty a second: {:?}", begun.elapsed());
}

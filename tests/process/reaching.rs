//! Ways to an instance that lead nowhere: one of its addresses swallows whatever is sent to it.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::faults::proven;
use crate::support::{Event, Home, Instance, Start, Tenant};

/// Two addresses of one name, of which the first leads nowhere. The gateway alone sees this file in the place of the machine's.
const HOSTS: &str = "::1 localhost\n127.0.0.1 localhost\n";
/// Somewhat less than what the HTTP client gives the sixth version of IP before it tries the fourth as well.
const SIXTH_VERSION_ALONE: Duration = Duration::from_millis(250);

/// A listener nobody accepts from, with a queue that is full: the kernel drops whoever else comes, without a word.
struct BlackHole {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    async fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v6().unwrap();
        socket.bind(address).expect("a machine with ::1");
        let listener = socket.listen(1).unwrap();
        let mut queue = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            queue.push(connected.unwrap());
            assert!(queue.len() < 100, "the queue is never full");
        }
        Self { _listener: listener, _queue: queue }
    }
}

#[tokio::test]
async fn an_instance_is_reached_although_the_first_of_its_addresses_swallows_everything() {
    let instance = Instance::start();
    let port: u16 = instance.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let hole = BlackHole::at(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)).await;
    let folder = Home::of(&[Tenant::named("contoso", &format!("http://localhost:{port}"))]);
    let settings = std::fs::read_to_string(folder.path().join("snowgate.yaml")).unwrap();
    folder.write("snowgate.yaml", &settings.replace("[127.0.0.0/8]", "[127.0.0.0/8, \"::1/128\"]"));
    folder.write("hosts", HOSTS);
    let gateway = folder.start_as(Start { after: Some("mount --bind hosts /etc/hosts"), ..Start::default() }).await;
    let begun = Instant::now();
    for number in 1..=3 {
        gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
    }
    gateway.quiet().await;
    let took = begun.elapsed();
    for number in 1..=3 {
        drop(instance.ticket_of(&format!("MTR-{number}")));
    }
    assert!(took > SIXTH_VERSION_ALONE, "{took:?}: nobody tried the first one");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(!gateway.log().contains("breaker"), "one address is no outage: {}", gateway.log());
    proven(
        "F51",
        "an_instance_is_reached_although_the_first_of_its_addresses_swallows_everything",
        &format!("::1 drops everything, 127.0.0.1 answers: 3 tickets within {} ms", took.as_millis()),
    );
    drop(hole);
}

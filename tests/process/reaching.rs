//! Ways to an instance that lead nowhere: some of its addresses swallow whatever is sent to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::faults::proven;
use crate::support::{Event, Home, Instance, Start, Tenant};

/// Three addresses of one name: the first two lead nowhere. The gateway alone sees this file in the place of the machine's.
const HOSTS: &str = "::1 localhost\n127.0.0.2 localhost\n127.0.0.1 localhost\n";

/// A listener nobody accepts from, with a queue that is full: the kernel drops whoever else comes, without a word.
struct BlackHole {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    /// `None` where the machine has no such address.
    async fn at(address: SocketAddr) -> Option<Self> {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.ok()?;
        socket.bind(address).ok()?;
        let listener = socket.listen(1).ok()?;
        let mut queue = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            queue.push(connected.unwrap());
            assert!(queue.len() < 100, "the queue is never full");
        }
        Some(Self { _listener: listener, _queue: queue })
    }
}

#[tokio::test]
async fn an_instance_is_reached_although_two_of_its_addresses_swallow_everything() {
    let instance = Instance::start();
    let port: u16 = instance.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let at = |address: IpAddr| SocketAddr::new(address, port);
    let sixth = BlackHole::at(at(Ipv6Addr::LOCALHOST.into())).await;
    let fourth = BlackHole::at(at(Ipv4Addr::new(127, 0, 0, 2).into())).await.unwrap();
    let home = Home::of(&[Tenant::named("contoso", &format!("http://localhost:{port}"))]);
    let settings = std::fs::read_to_string(home.path().join("snowgate.yaml")).unwrap();
    home.write("snowgate.yaml", &settings.replace("[127.0.0.0/8]", "[127.0.0.0/8, \"::1/128\"]"));
    home.write("hosts", HOSTS);
    let gateway = home.start_as(Start { after: Some("mount --bind hosts /etc/hosts"), ..Start::default() }).await;
    let begun = Instant::now();
    for number in 1..=3 {
        gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
    }
    gateway.quiet().await;
    let took = begun.elapsed();
    for number in 1..=3 {
        drop(instance.ticket_of(&format!("MTR-{number}")));
    }
    // A third of a second for the sixth version, half of the time to connect for the other one; once, and on a busy machine.
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(!gateway.log().contains("breaker"), "no address alone is an outage: {}", gateway.log());
    let holes = if sixth.is_some() { "::1 and 127.0.0.2" } else { "127.0.0.2 (this machine has no ::1)" };
    proven(
        "F51",
        "an_instance_is_reached_although_two_of_its_addresses_swallow_everything",
        &format!(
            "a name with three addresses, of which {holes} drop everything: 3 tickets within {} ms",
            took.as_millis()
        ),
    );
    drop((sixth, fourth));
}

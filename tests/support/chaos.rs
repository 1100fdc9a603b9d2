//! A network that misbehaves: a TCP proxy on loopback between the gateway and its database, or its instance.
//!
//! It carries bytes until it is told otherwise. A [`Trouble`] strikes connections in one direction: at once, after so many
//! bytes, or where certain bytes pass (`COMMIT`, a verb and a path), as often as it says. What passes can also be delayed
//! or throttled, and the door can be shut. It works on a thread of its own, so it goes on while a test blocks, and ends
//! with its value; what it carried is counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From whoever connected to what lies behind.
    There,
    /// The answers.
    Back,
}

/// When a trouble strikes, counted on each connection from the moment it was ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Now,
    /// Once so many bytes have passed.
    After(u64),
    /// With the piece in which these bytes end; they pass before it, unless the trouble is [`Deed::Swallow`].
    Seen(&'static [u8]),
}

/// What happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Both sides see an orderly end.
    Close,
    /// Both sides see a reset.
    Reset,
    /// This direction ends in order, the other goes on.
    HalfClose,
    /// This direction vanishes from here on, while the connection stays.
    Swallow,
    /// The other side answers, and nobody gets to see it: both connections are reset instead.
    LoseAnswer,
    /// One byte is another; the rest passes.
    Corrupt,
}

/// What strikes, where and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) way: Way,
    pub(crate) when: When,
    pub(crate) deed: Deed,
    /// So many connections at most.
    pub(crate) times: u64,
}

/// What has passed so far.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    there: AtomicU64,
    back: AtomicU64,
    struck: AtomicU64,
}

/// What the network is like now.
#[derive(Clone, Debug, Default)]
struct Weather {
    delay: Duration,
    bytes_per_second: Option<u64>,
    /// Nobody listens.
    shut: bool,
    /// What new connections are carried to, if not to what was given at first.
    leads_to: Option<SocketAddr>,
    /// Grows with each order to reset what is open.
    resets: u64,
    /// The trouble, and how often it may still strike.
    trouble: Option<(Trouble, Arc<AtomicU64>)>,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Chaos {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    counts: Arc<Counts>,
}

/// A connection is over before both sides ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severed {
    Close,
    Reset,
}

/// The most bytes that are carried at once.
const PIECE: usize = 16 * 1024;

impl Chaos {
    /// A proxy that carries everything to this address.
    pub(crate) fn before(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket can be asked");
        let address = listener.local_addr().expect("an address");
        let (weather, seen) = watch::channel(Weather::default());
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            // Ends when the sender of the weather is gone, and every connection with it.
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a runtime is here");
                listen(listener, address, target, seen, counted).await;
            });
        });
        Self { address, weather, counts }
    }

    /// The same before a simulated instance or anything else of an `http://` address.
    pub(crate) fn before_url(url: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        Self::before(address.parse().expect("an address without a name"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its own address in the place of that behind it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    // ── orders ──

    pub(crate) fn strikes(&self, trouble: Trouble) {
        let left = Arc::new(AtomicU64::new(trouble.times));
        self.weather.send_modify(|weather| weather.trouble = Some((trouble, left)));
    }

    /// The next request or statement that contains this is carried out, and its answer is lost.
    pub(crate) fn loses_the_answer_to(&self, bytes: &'static [u8]) {
        self.strikes(Trouble { way: Way::There, when: When::Seen(bytes), deed: Deed::LoseAnswer, times: 1 });
    }

    /// Takes everything and answers nothing.
    pub(crate) fn is_a_black_hole(&self) {
        self.strikes(Trouble { way: Way::There, when: When::Now, deed: Deed::Swallow, times: u64::MAX });
    }

    /// Every piece arrives so much later.
    pub(crate) fn delays(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// So many bytes a second, on each connection and in each direction.
    pub(crate) fn throttles(&self, bytes_per_second: u64) {
        self.weather.send_modify(|weather| weather.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// New connections are carried there, until it clears up.
    pub(crate) fn leads_to(&self, target: SocketAddr) {
        self.weather.send_modify(|weather| weather.leads_to = Some(target));
    }

    /// Resets what is open; new connections are welcome.
    pub(crate) fn resets(&self) {
        self.weather.send_modify(|weather| weather.resets += 1);
    }

    /// Resets what is open, and refuses to be connected to.
    pub(crate) fn refuses(&self) {
        self.weather.send_modify(|weather| {
            weather.resets += 1;
            weather.shut = true;
        });
    }

    /// Carries everything again. What was swallowed stays lost, and its connection with it.
    pub(crate) fn clears_up(&self) {
        self.weather.send_modify(|weather| *weather = Weather { resets: weather.resets, ..Weather::default() });
    }

    // ── what was seen ──

    pub(crate) fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// How often a trouble struck, over all troubles.
    pub(crate) fn struck(&self) -> u64 {
        self.counts.struck.load(Ordering::Relaxed)
    }

    /// The bytes that came in this direction, those that were not passed on included.
    pub(crate) fn bytes(&self, way: Way) -> u64 {
        self.counts.of(way).load(Ordering::Relaxed)
    }
}

impl Counts {
    const fn of(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::There => &self.there,
            Way::Back => &self.back,
        }
    }
}

async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    mut weather: watch::Receiver<Weather>,
    counts: Arc<Counts>,
) {
    let mut listener = Some(listener);
    let mut carried = JoinSet::new();
    loop {
        let shut = weather.borrow_and_update().shut;
        if shut {
            listener = None;
        } else if listener.is_none() {
            // Whoever has the port meanwhile gives it back soon, or the test says that it could not connect.
            listener = TcpListener::bind(address).await.ok();
        }
        tokio::select! {
            changed = weather.changed() => if changed.is_err() { return },
            Some(ended) = carried.join_next() => drop(ended),
            client = accepted(listener.as_ref()) => {
                counts.connections.fetch_add(1, Ordering::Relaxed);
                let target = weather.borrow().leads_to.unwrap_or(target);
                carried.spawn(carry(client, target, weather.clone(), Arc::clone(&counts)));
            }
        }
    }
}

async fn accepted(listener: Option<&TcpListener>) -> TcpStream {
    if let Some(listener) = listener
        && let Ok((client, _)) = listener.accept().await
    {
        return client;
    }
    std::future::pending().await
}

async fn carry(mut client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>, counts: Arc<Counts>) {
    let Ok(mut target) = TcpStream::connect(target).await else {
        drop(client.set_zero_linger());
        return;
    };
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_target, to_target) = target.split();
        let answers_lost = AtomicBool::new(false);
        let pump = |way| Pump {
            way,
            weather: weather.clone(),
            counts: &counts,
            answers_lost: &answers_lost,
            passed: 0,
            tail: Vec::new(),
            swallows: false,
        };
        let (mut there, mut back) = (pump(Way::There), pump(Way::Back));
        tokio::try_join!(there.run(from_client, to_target), back.run(from_target, to_client))
    };
    if ended == Err(Severed::Reset) {
        drop(client.set_zero_linger());
        drop(target.set_zero_linger());
    }
}

/// One direction of one connection.
struct Pump<'c> {
    way: Way,
    weather: watch::Receiver<Weather>,
    counts: &'c Counts,
    answers_lost: &'c AtomicBool,
    /// Since the last order.
    passed: u64,
    /// The end of what passed, in which what is looked for may begin.
    tail: Vec<u8>,
    swallows: bool,
}

impl Pump<'_> {
    async fn run(&mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Severed> {
        let mut piece = vec![0; PIECE];
        let resets = self.weather.borrow().resets;
        loop {
            tokio::select! {
                changed = self.weather.changed() => {
                    if changed.is_err() || self.weather.borrow().resets != resets {
                        return Err(Severed::Reset);
                    }
                    (self.passed, self.tail) = (0, Vec::new());
                }
                read = from.read(&mut piece) => match read {
                    Ok(0) => {
                        drop(to.shutdown().await);
                        return Ok(());
                    }
                    Ok(count) => self.pass(piece.get_mut(..count).expect("it was read"), &mut to).await?,
                    Err(_) => return Err(Severed::Reset),
                },
            }
        }
    }

    async fn pass(&mut self, mut piece: &mut [u8], to: &mut WriteHalf<'_>) -> Result<(), Severed> {
        let length = u64::try_from(piece.len()).expect("a piece is small");
        self.counts.of(self.way).fetch_add(length, Ordering::Relaxed);
        if self.way == Way::Back && self.answers_lost.load(Ordering::Relaxed) {
            return Err(Severed::Reset);
        }
        let weather = self.weather.borrow().clone();
        if !weather.delay.is_zero() {
            // This is the network's own slowness, not a test that waits.
            tokio::time::sleep(weather.delay).await;
        }
        let struck = self.strikes(&weather, piece);
        if let Some((deed, at)) = struck {
            self.counts.struck.fetch_add(1, Ordering::Relaxed);
            match deed {
                Deed::Swallow => self.swallows = true,
                Deed::LoseAnswer => self.answers_lost.store(true, Ordering::Relaxed),
                Deed::Corrupt => piece.iter_mut().skip(at.saturating_sub(1)).take(1).for_each(|byte| *byte ^= 0x20),
                Deed::Close | Deed::Reset | Deed::HalfClose => piece = piece.get_mut(..at).expect("inside"),
            }
        }
        if !self.swallows && self.write(piece, to).await.is_err() {
            return Err(Severed::Reset);
        }
        self.passed += length;
        match struck {
            Some((Deed::Close, _)) => Err(Severed::Close),
            Some((Deed::Reset, _)) => Err(Severed::Reset),
            Some((Deed::HalfClose, _)) => {
                drop(to.shutdown().await);
                self.swallows = true;
                Ok(())
            }
            Some((Deed::Swallow | Deed::LoseAnswer | Deed::Corrupt, _)) | None => Ok(()),
        }
    }

    /// What strikes within this piece, and after how many of its bytes.
    fn strikes(&mut self, weather: &Weather, piece: &[u8]) -> Option<(Deed, usize)> {
        let (trouble, left) = weather.trouble.as_ref().filter(|(trouble, _)| trouble.way == self.way)?;
        let at = match trouble.when {
            _ if self.swallows => None,
            When::Now => Some(0),
            When::After(bytes) => {
                usize::try_from(bytes.saturating_sub(self.passed)).ok().filter(|at| *at <= piece.len())
            }
            When::Seen(wanted) => self.seen(wanted, piece),
        }?;
        let may = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        may.then_some((trouble.deed, at))
    }

    /// After how many bytes of the piece what is looked for has passed; it may have begun in an earlier piece.
    fn seen(&mut self, wanted: &[u8], piece: &[u8]) -> Option<usize> {
        let before = self.tail.len();
        let mut text = std::mem::take(&mut self.tail);
        text.extend_from_slice(piece);
        let at = text.windows(wanted.len()).position(|window| window == wanted).map(|at| at + wanted.len() - before);
        self.tail = text.split_off(text.len().saturating_sub(wanted.len() - 1));
        at
    }

    /// Writes at the pace of the moment, which may change in between.
    async fn write(&self, mut piece: &[u8], to: &mut WriteHalf<'_>) -> std::io::Result<()> {
        while let Some(rate) = self.pace().filter(|_| !piece.is_empty()) {
            // Twenty times a second, or a byte at a time if it is slower than that.
            let (now, later) = piece.split_at(usize::try_from(rate / 20).unwrap_or(PIECE).clamp(1, piece.len()));
            let bytes = u64::try_from(now.len()).expect("a piece is small");
            tokio::time::sleep(Duration::from_millis(bytes * 1_000 / rate)).await;
            to.write_all(now).await?;
            piece = later;
        }
        to.write_all(piece).await
    }

    fn pace(&self) -> Option<u64> {
        self.weather.borrow().bytes_per_second
    }
}

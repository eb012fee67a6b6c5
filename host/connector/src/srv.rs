//! Finds the server by an SRV record (RFC 2782), as the incumbents' API client does when it is
//! asked to: `_http._tcp.HOST`, for https addresses too, and only if the address names no port
//! (draft-andrews-http-srv-02).
//!
//! The system's resolver functions know addresses only, so the question is sent from here to the
//! name servers of `/etc/resolv.conf`, over UDP and, if the answer is too long, over TCP. A name
//! without such a record leads to the address itself; a name server that doesn't answer is an
//! error, because a request must not go elsewhere for that.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::Rng as _;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// Where a service is to be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// Without final dot.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The record may be used for so long without asking again.
    pub(crate) ttl: Duration,
}

/// Asks the system's name servers.
pub(crate) struct Resolver {
    /// Read for each question, which are few: it may change.
    configuration: PathBuf,
    port: u16,
}

/// No answer, and why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("\"{0}\" can't be a DNS name")]
    Name(String),
    #[error("no name server answers: {0}")]
    NoAnswer(String),
}

impl Default for Resolver {
    fn default() -> Self {
        Self { configuration: "/etc/resolv.conf".into(), port: 53 }
    }
}

impl Resolver {
    #[cfg(test)]
    pub(crate) fn new(configuration: PathBuf, port: u16) -> Self {
        Self { configuration, port }
    }

    /// The target for `host` among its SRV records. `None`: there are none.
    pub(crate) async fn target(&self, host: &str) -> Result<Option<Target>, LookupError> {
        let configuration = Configuration::read(&self.configuration, self.port).await;
        for name in configuration.candidates(&format!("_http._tcp.{host}")) {
            let records = configuration.ask(&name).await?;
            if !records.is_empty() {
                return Ok(choose(records, |below| rand::rng().random_range(0..below)));
            }
        }
        Ok(None)
    }
}

/// What of resolv.conf(5) matters here.
#[derive(Debug, PartialEq, Eq)]
struct Configuration {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Configuration {
    async fn read(path: &Path, port: u16) -> Self {
        // Without a file the local name server is asked, as resolv.conf(5) has it.
        Self::parse(&tokio::fs::read_to_string(path).await.unwrap_or_default(), port)
    }

    fn parse(text: &str, port: u16) -> Self {
        let mut found = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // An IPv6 address may end in a zone, "%eth0", which no socket address holds.
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    found.servers.extend(server.map(|address| SocketAddr::new(address, port)));
                }
                Some("domain" | "search") => found.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    for option in words {
                        let Some((name, value)) = option.split_once(':') else { continue };
                        let Ok(value) = value.parse::<u8>() else { continue };
                        match name {
                            "ndots" => found.ndots = value.into(),
                            "timeout" => found.timeout = Duration::from_secs(value.max(1).into()),
                            "attempts" => found.attempts = value.max(1).into(),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if found.servers.is_empty() {
            found.servers.push(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port));
        }
        found
    }

    /// The names to try, in order: one with dots as it is first, then in the search domains.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let mut names: Vec<String> = self
            .search
            .iter()
            .map(|domain| format!("{name}.{}", domain.trim_matches('.')))
            .collect();
        let dots = name.matches('.').count();
        names.insert(if dots >= self.ndots { 0 } else { names.len() }, name.to_owned());
        names
    }

    /// Asks one server after the other until one answers.
    async fn ask(&self, name: &str) -> Result<Vec<Record>, LookupError> {
        let query = query(name).ok_or_else(|| LookupError::Name(name.to_owned()))?;
        let mut why = String::new();
        for _ in 0..self.attempts {
            for server in &self.servers {
                match tokio::time::timeout(self.timeout, exchange(*server, &query)).await {
                    Ok(Ok(records)) => return Ok(records),
                    Ok(Err(error)) => why = format!("{}: {error}", server.ip()),
                    Err(_) => why = format!("{}: no answer in time", server.ip()),
                }
            }
        }
        Err(LookupError::NoAnswer(why))
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Record {
    priority: u16,
    weight: u16,
    target: Target,
}

/// The question for the SRV records of a name, with an identifier of its own.
fn query(name: &str) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(rand::random());
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, TYPE::SRV.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().ok()
}

async fn exchange(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<Record>> {
    let own: IpAddr = match server {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A connected socket takes answers from this server only.
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match read(query, &buffer[..length])? {
            Answer::Records(records) => return Ok(records),
            Answer::TooLong => break,
            // To another question: an old one, or somebody's guess.
            Answer::Foreign => {}
        }
    }
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await?;
    match read(query, &buffer)? {
        Answer::Records(records) => Ok(records),
        Answer::TooLong | Answer::Foreign => Err(unusable("its answer can't be read")),
    }
}

enum Answer {
    /// None where there is no such name.
    Records(Vec<Record>),
    TooLong,
    Foreign,
}

fn read(query: &[u8], answer: &[u8]) -> std::io::Result<Answer> {
    // Long answers may be cut anywhere: only their header counts.
    let (Some(asked), Some(header)) = (query.first_chunk::<2>(), answer.first_chunk::<12>()) else {
        return Ok(Answer::Foreign);
    };
    let is_answer = header[2] & 0x80 != 0;
    if header[..2] != asked[..] || !is_answer {
        return Ok(Answer::Foreign);
    }
    if header[2] & 0x02 != 0 {
        return Ok(Answer::TooLong);
    }
    let asked = Packet::parse(query).map_err(|_| unusable("its answer can't be read"))?;
    let packet = Packet::parse(answer).map_err(|_| unusable("its answer can't be read"))?;
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Ok(Answer::Records(Vec::new())),
        other => return Err(unusable(&format!("it says {other:?}"))),
    }
    if !same_question(&asked, &packet) {
        return Ok(Answer::Foreign);
    }
    let records = packet.answers.iter().filter_map(|record| {
        let RData::SRV(found) = &record.rdata else { return None };
        let host = found.target.to_string();
        let host = host.trim_end_matches('.').to_owned();
        let ttl = Duration::from_secs(record.ttl.into());
        let target = Target { host, port: found.port, ttl };
        // A root as the target says that there is no such service.
        (!target.host.is_empty()).then_some(Record {
            priority: found.priority,
            weight: found.weight,
            target,
        })
    });
    Ok(Answer::Records(records.collect()))
}

fn same_question(asked: &Packet<'_>, answered: &Packet<'_>) -> bool {
    let name = |packet: &Packet<'_>| {
        packet.questions.first().map(|question| question.qname.to_string().to_ascii_lowercase())
    };
    let about_srv = |question: &Question<'_>| {
        question.qtype == QTYPE::TYPE(TYPE::SRV) && question.qclass == QCLASS::CLASS(CLASS::IN)
    };
    name(asked) == name(answered) && answered.questions.iter().all(about_srv)
}

/// One record of the lowest priority, at random by weight. `random` gives a number below its
/// argument.
fn choose(mut records: Vec<Record>, random: impl FnOnce(u32) -> u32) -> Option<Target> {
    let lowest = records.iter().map(|record| record.priority).min()?;
    records.retain(|record| record.priority == lowest);
    // A weight of zero has a small chance beside others (RFC 2782), and an even one alone.
    let share = |record: &Record| u32::from(record.weight) * 100 + 1;
    let mut chosen = random(records.iter().map(share).sum());
    let position = records.iter().position(|record| {
        let share = share(record);
        let here = chosen < share;
        chosen = chosen.saturating_sub(share);
        here
    })?;
    Some(records.swap_remove(position).target)
}

fn unusable(why: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::SRV;
    use tokio::net::TcpListener;

    use super::*;

    /// What a name server does with one question.
    #[derive(Clone, Copy)]
    pub(crate) enum Behaviour {
        Records(&'static [(u16, u16, u16, &'static str)]),
        Code(RCODE),
        TooLongForUdp,
        Silent,
    }

    fn answer(query: &[u8], behaviour: Behaviour, udp: bool) -> Option<Vec<u8>> {
        let mut packet = Packet::parse(query).unwrap().into_reply();
        let records: &[_] = match behaviour {
            Behaviour::Silent => return None,
            Behaviour::Code(code) => {
                *packet.rcode_mut() = code;
                &[]
            }
            Behaviour::TooLongForUdp if udp => {
                packet.set_flags(PacketFlag::TRUNCATION);
                &[]
            }
            Behaviour::TooLongForUdp => &[(0, 0, 8200, "long.example")],
            Behaviour::Records(records) => records,
        };
        for &(priority, weight, port, target) in records {
            let rdata = SRV { priority, weight, port, target: Name::new_unchecked(target) };
            let name = packet.questions[0].qname.clone();
            packet.answers.push(ResourceRecord::new(name, CLASS::IN, 30, RData::SRV(rdata)));
        }
        packet.build_bytes_vec().ok()
    }

    /// A name server for one name; every other doesn't exist. Its answers are preceded by one to
    /// a question that nobody asked.
    pub(crate) async fn name_server(name: &'static str, behaviour: Behaviour) -> SocketAddr {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // Somebody else may have the port for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let known = move |query: &[u8]| {
            let asked = Packet::parse(query).unwrap().questions[0].qname.to_string();
            if asked == name { behaviour } else { Behaviour::Code(RCODE::NameError) }
        };
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
                let query = &buffer[..length];
                let Some(answer) = answer(query, known(query), true) else { continue };
                let mut foreign = answer.clone();
                foreign[0] ^= 0xff;
                udp.send_to(&foreign, peer).await.unwrap();
                udp.send_to(&answer, peer).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut query = vec![0; length.into()];
                stream.read_exact(&mut query).await.unwrap();
                let answer = answer(&query, known(&query), false).unwrap();
                stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        address
    }

    fn configuration(servers: Vec<SocketAddr>, search: &[&str]) -> Configuration {
        let search = search.iter().map(|&domain| domain.to_owned()).collect();
        let timeout = Duration::from_secs(2);
        Configuration { servers, search, ndots: 1, timeout, attempts: 3 }
    }

    #[tokio::test]
    async fn the_record_of_the_lowest_priority_is_taken() {
        let records =
            &[(20, 0, 1, "b.example"), (10, 0, 8200, "a.example"), (30, 9, 2, "c.example")];
        let server = name_server("_http._tcp.vault.example", Behaviour::Records(records)).await;
        let found = configuration(vec![server], &[]).ask("_http._tcp.vault.example").await.unwrap();
        let target = choose(found, |_| 0).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("a.example", 8200));
        assert_eq!(target.ttl, Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_long_answer_is_fetched_over_tcp() {
        let server = name_server("_http._tcp.vault.example", Behaviour::TooLongForUdp).await;
        let found = configuration(vec![server], &[]).ask("_http._tcp.vault.example").await.unwrap();
        assert_eq!(found[0].target.host, "long.example");
    }

    #[tokio::test]
    async fn a_name_without_record_is_no_error_and_a_failing_name_server_is() {
        let server =
            name_server("_http._tcp.vault.example", Behaviour::Code(RCODE::ServerFailure)).await;
        let asked = configuration(vec![server], &[]);
        assert_eq!(asked.ask("_http._tcp.other.example").await.unwrap(), []);
        let error = asked.ask("_http._tcp.vault.example").await.unwrap_err().to_string();
        assert!(error.contains("ServerFailure"), "{error}");
        let root =
            name_server("_http._tcp.vault.example", Behaviour::Records(&[(0, 0, 1, "")])).await;
        let asked = configuration(vec![root], &[]);
        assert_eq!(asked.ask("_http._tcp.vault.example").await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_next_name_server_answers_for_a_silent_one() {
        let silent = name_server("_http._tcp.vault.example", Behaviour::Silent).await;
        let good = Behaviour::Records(&[(0, 0, 8200, "a.example")]);
        let good = name_server("_http._tcp.vault.example", good).await;
        let found = configuration(vec![silent, good], &[]).ask("_http._tcp.vault.example").await;
        assert_eq!(found.unwrap().len(), 1);
        let alone = configuration(vec![silent], &[]).ask("_http._tcp.vault.example").await;
        assert!(alone.unwrap_err().to_string().contains("no answer in time"));
    }

    #[tokio::test]
    async fn a_short_name_is_completed_with_the_search_domains() {
        let good = Behaviour::Records(&[(0, 0, 8200, "a.example")]);
        let server = name_server("_http._tcp.vault.svc.example", good).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "nameserver 127.0.0.1\nsearch none.example svc.example\n")
            .unwrap();
        let resolver = Resolver::new(file.path().into(), server.port());
        let target = resolver.target("vault").await.unwrap().unwrap();
        assert_eq!((target.host.as_str(), target.port), ("a.example", 8200));
        assert_eq!(resolver.target("vault.").await.unwrap(), None);
    }

    #[test]
    fn the_systems_configuration_is_understood() {
        let text = "# a comment\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\n\
                    domain first.example\nsearch a.example b.example.\n\
                    options ndots:5 timeout:1 attempts:3 rotate edns0\n";
        let found = Configuration::parse(text, 53);
        assert_eq!(found.servers, ["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!((found.ndots, found.timeout, found.attempts), (5, Duration::from_secs(1), 3));
        assert_eq!(
            found.candidates("_http._tcp.vault"),
            ["_http._tcp.vault.a.example", "_http._tcp.vault.b.example", "_http._tcp.vault"]
        );
        let empty = Configuration::parse("", 53);
        assert_eq!(empty.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(empty.candidates("a.b"), ["a.b"]);
    }

    #[test]
    fn weights_share_the_choice() {
        let record = |weight, host: &str| Record {
            priority: 1,
            weight,
            target: Target { host: host.into(), port: 1, ttl: Duration::ZERO },
        };
        let records = || vec![record(3, "three"), record(0, "none"), record(1, "one")];
        let mut total = 0;
        let _ = choose(records(), |below| {
            total = below;
            0
        });
        let mut counts = [0; 3];
        for number in 0..total {
            match choose(records(), |_| number).unwrap().host.as_str() {
                "three" => counts[0] += 1,
                "none" => counts[1] += 1,
                _ => counts[2] += 1,
            }
        }
        assert_eq!(counts, [301, 1, 101]);
    }

    #[test]
    fn an_answer_that_is_none_is_an_error_or_ignored() {
        let query = query("_http._tcp.vault").unwrap();
        assert!(matches!(read(&query, b""), Ok(Answer::Foreign)));
        assert!(matches!(read(&query, &query), Ok(Answer::Foreign)));
        let mut cut = query.clone();
        cut[2] |= 0x80;
        cut[7] = 9;
        assert!(read(&query, &cut).is_err());
    }
}
